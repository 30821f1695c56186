//go:build !unix

package disk

import "os"

// keepOwner does nothing: a file in a person's profile is that person's.
func keepOwner(*os.File, string) {}

// Writable says whether the file at path may be replaced.
func Writable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&0o222 != 0
}

// DirectoryWritable says whether files in dir can be made and replaced, as far as can be known
// without trying.
func DirectoryWritable(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.IsDir()
}
