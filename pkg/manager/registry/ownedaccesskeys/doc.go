// Package ownedaccesskeys serves people their own access keys: views of the AccessKey custom resources
// that name them.
//
// What surprises: the secret stands in the answer to a creation and nowhere else. An owner changes what
// a key is called and may disable it; everything else needs another key, or an administrator.
package ownedaccesskeys
