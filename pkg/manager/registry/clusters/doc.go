// Package clusters serves clusters of management.loft.sh: views of the Cluster custom resources, who
// may use one, and what a new virtual cluster in it is made from.
package clusters
