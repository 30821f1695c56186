// Package signingkeys keeps the keys that direct endpoint tokens are signed with, in one Secret.
//
// A Ring is the content of that Secret: keys, oldest first, each with the time from which it signs.
// Every manager watches the Secret (Keeper.Run) and signs with the newest key whose time has come; the
// leader alone writes it (Keeper.Maintain).
//
// What surprises:
//   - Nothing about a rotation is kept but the Secret, and each step of one is a single write, made
//     against the version that was read. A leader that dies in the middle leaves the state before the
//     step or the one after it, and the next leader goes on from there.
//   - A key is in the bundles from when it is written, and signs later: a day later on schedule, a minute
//     later when it was asked for by hand. Agents that get bundles late lose nothing.
//   - What is in the Secret is trusted, whatever the time. A key is taken out by a write too, once the
//     last token that it can have signed has ended; so bundles change only when the Secret does.
//   - How long tokens of a key live at most is written beside it. It never gets less, so that
//     configuring shorter lifetimes does not end trust in tokens that have longer ones.
//   - A Secret that cannot be read is reported and left alone. New keys in its place would refuse every
//     token that is out there. A Secret that is gone was taken away by somebody who wants just that.
package signingkeys
