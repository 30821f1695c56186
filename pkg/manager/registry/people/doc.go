// Package people serves users and teams of management.loft.sh: views of the custom resources of the
// same names.
package people
