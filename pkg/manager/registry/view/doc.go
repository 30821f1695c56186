// Package view serves custom resources of the central cluster as resources of the management API: the
// same names, UIDs and resource versions, so that lists, watches and updates of a client go through to
// the central cluster's own.
//
// What surprises:
//   - Lists and watches leave out what the person may not see, so a page of a list may hold fewer
//     objects than its limit, and none at all.
//   - A watch ends with "410 Gone" when the set of what the person sees changes: the client lists anew,
//     and so learns of objects that came and went without an event.
//   - managedFields are the central cluster's. They are read with the view's API version and never
//     written, so a server-side apply is passed on as one; see WithApply.
package view
