#!/usr/bin/env bash
# Generates deepcopy and conversion functions beside the types in apis/, clientset,
# informers, listers, apply configurations and OpenAPI definitions in generated/, and the
# CustomResourceDefinitions of apis/storage in artifacts/manager/crds.
#
# The generators' versions stand in hack/tools/{codegen,crds}/go.mod; the Go build cache
# makes every run but the first quick.
#
# hack/openapi-violations.txt lists the API rules that types are known to break, all of
# them in Kubernetes' own packages. UPDATE_REPORT=true rewrites it; a new Kubernetes
# version may need that, our own types should not. KUBE_VERBOSE=2 shows each step.

set -o errexit -o nounset -o pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
cd "${root}"

module="$(go list -m)"
tools="hack/tools/codegen"
boilerplate="${root}/hack/boilerplate.go.txt"

# Kinds whose plural is not made by the rules of English spelling.
plural_exceptions="Kubernetes:Kubernetes,ClusterAccess:ClusterAccesses"

# The generated code calls the libraries in go.mod, so the generators must be of the same version.
check_version() {
  local generators="$1" library="$2" want have
  want="$(go list -m -f '{{.Version}}' "${library}")"
  have="$(cd "${tools}" && go list -m -f '{{.Version}}' "${generators}")"
  if [[ "${want}" != "${have}" ]]; then
    echo "error: ${tools}/go.mod has ${generators} ${have}, but go.mod has ${library} ${want}" >&2
    return 1
  fi
}
check_version k8s.io/code-generator k8s.io/apimachinery
check_version k8s.io/kube-openapi k8s.io/kube-openapi

(cd "${tools}" && go mod download)

# kube_codegen.sh installs its programs into GOBIN; keep them out of the caller's.
GOBIN="${CODEGEN_GOBIN:-${root}/bin/codegen}"
export GOBIN

# kube_codegen.sh leaves a report in the directory for temporary files.
TMPDIR="$(mktemp -d)"
export TMPDIR
trap 'rm -rf "${TMPDIR}"' EXIT

codegen="$(cd "${tools}" && go list -m -f '{{.Dir}}' k8s.io/code-generator)"
echo "Generating with $(basename "${codegen}")"
# shellcheck source=/dev/null
source "${codegen}/kube_codegen.sh"

# kube_codegen.sh removes what it generated before, and complains where there is nothing yet.
mkdir -p generated/{applyconfiguration,clientset,informers,listers,openapi}

kube::codegen::gen_helpers --boilerplate "${boilerplate}" apis

kube::codegen::gen_openapi \
  --boilerplate "${boilerplate}" \
  --output-dir generated/openapi \
  --output-pkg "${module}/generated/openapi" \
  --output-model-name-file zz_generated.model_name.go \
  --report-filename hack/openapi-violations.txt \
  ${UPDATE_REPORT:+--update-report} \
  apis

kube::codegen::gen_client \
  --boilerplate "${boilerplate}" \
  --output-dir generated \
  --output-pkg "${module}/generated" \
  --plural-exceptions "${plural_exceptions}" \
  --with-applyconfig \
  --with-watch \
  apis

crds="artifacts/manager/crds"
mkdir -p "${crds}"
rm -f "${crds}"/*.yaml
go tool -modfile=hack/tools/crds/go.mod controller-gen crd paths=./apis/storage/... "output:crd:dir=${crds}"

echo "Generated: $(find apis -name 'zz_generated.*' | wc -l) files in apis, $(find generated -name '*.go' | wc -l) in generated, $(find "${crds}" -name '*.yaml' | wc -l) in ${crds}"
