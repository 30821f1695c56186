// Package management tests the manager's API against a real control plane, which all its tests share.
package management
