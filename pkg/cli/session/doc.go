// Package session is the login on disk: which manager, with which key, and the tokens that came from it.
//
// The file is that of 2.x clients (config.json), with members of our own; what nobody here knows in
// it survives. Its secrets are in it, or in the operating system's keyring.
//
// What surprises:
//
//   - Reading takes no lock, since the file is only ever replaced as a whole; it is on the way of
//     every kubectl. Whoever changes the file reads it again under the lock.
//   - A token is kept only if the session is still the one that it was asked for in: somebody may
//     have logged in elsewhere meanwhile.
//   - The keyring of a desktop may be locked and ask, or hang: each call has a second.
package session
