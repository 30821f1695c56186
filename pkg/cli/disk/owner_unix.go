//go:build unix

package disk

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// keepOwner gives file the owner of what is at path. Only the superuser may, and only there does it
// matter: somebody else's file written with sudo stays somebody else's.
func keepOwner(file *os.File, path string) {
	info, err := os.Stat(path)
	if err != nil {
		return
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		_ = file.Chown(int(stat.Uid), int(stat.Gid))
	}
}

// Writable says whether the file at path may be replaced. A file without any permission to write is
// meant to stay as it is, whatever its directory or being the superuser would allow.
func Writable(path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o222 == 0 {
		return false
	}
	return unix.Access(path, unix.W_OK) == nil
}

// DirectoryWritable says whether files in dir can be made and replaced.
func DirectoryWritable(dir string) bool { return unix.Access(dir, unix.W_OK|unix.X_OK) == nil }
