// Package streams looks after what stays open: watches, followed logs, and connections that switched
// to WebSocket or SPDY. It ends them with a reason that the client shows, pings the silent ones, and
// closes the idle ones.
//
// What surprises:
//   - Why a stream ends is the cause of its request's context (see End). Any other end of the
//     context, such as the client leaving, is none of this package's business.
//   - Nothing is kept or copied. Each direction is followed by a scanner of a few bytes that knows
//     where frames and events begin, and what is ours is put between two of them. Where the API
//     server stopped in the middle of one there is no such place: the stream ends without a word.
//   - An upgraded connection outlives the context of its request for a moment, to end well: its
//     request is forwarded with a context of its own, which ends when the last frame is written.
//   - What a watch costs here is an entry of some 100 bytes; it has no goroutine and no timer.
package streams
