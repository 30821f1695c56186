// Package issued remembers for whom direct endpoint tokens have been issued, and decides from that which
// are revoked.
//
// A token cannot be taken back, only refused. To know what must be refused when a user is disabled, a
// key is deleted or somebody leaves a team, also when no manager was running at that moment, the manager
// writes down for each user and team what their tokens say (a Record) before it hands one out. What
// is revoked follows from comparing records with what is true now (an Owner):
//
//   - Record.Extend says what must be written before a token is issued;
//   - Record.Revocations says what bundles must refuse;
//   - Record.Settle moves on what has happened for good.
//
// A record is one ConfigMap in the manager's namespace (Store), and goes when the last token that it is
// about has ended. So the list of revocations holds nothing that never had a token, and is as short as a
// day is.
//
// What surprises:
//   - There are no finalizers: what is deleted is gone at once, whether a manager runs or not, and its
//     record stays.
//   - Agents know of time only the second in which a token was issued. Revoking everything of a user up
//     to a time (Record.Cutoff) looks a few seconds ahead, for a manager that issues at that moment by
//     another clock; tokens made in these seconds by a manager that knows of the cutoff are dated after it.
//   - A manager whose caches are behind issues tokens of yesterday's teams. It writes them down like any
//     other, and the leader, who knows better, revokes them.
//   - What was revoked stays so: a user or key that is enabled again does not bring old tokens back.
//   - The deletion of a record by hand forgets what was issued. A record that cannot be read revokes all
//     tokens of its subject.
package issued
