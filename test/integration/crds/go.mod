// The custom resource definitions that the examples in artifacts need, at the version that the
// tests apply. A module of its own: they are read as files, nothing is imported, and so the
// product inherits no dependency. `go mod tidy` would empty it for that reason; to change a version:
//   go mod edit -require=<module>@<version> && go mod download <module>
module loft.sh/agent/test/integration/crds

go 1.26.0

require (
	github.com/cert-manager/cert-manager v1.21.2
	sigs.k8s.io/gateway-api v1.6.3
)
