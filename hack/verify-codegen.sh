#!/usr/bin/env bash
# Checks that generated code is what hack/update-codegen.sh would write: generates in a
# copy of the tree and compares. Exits with 1 and the differences if it is not.

set -o errexit -o nounset -o pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
cd "${root}"

copy="$(mktemp -d)"
trap 'rm -rf "${copy}"' EXIT

# What the generators read and write, as it is in the working tree: committed or not, and
# without ignored files. A path that is listed but gone was removed and not yet committed.
inputs=(go.mod go.sum apis artifacts/manager/crds generated hack)
git ls-files -z --cached --others --exclude-standard -- "${inputs[@]}" |
  while IFS= read -r -d '' path; do
    if [[ -e "${path}" ]]; then printf '%s\0' "${path}"; fi
  done |
  xargs -0 cp --parents -t "${copy}"

# The programs are the same, so the copy shares them with the tree.
CODEGEN_GOBIN="${root}/bin/codegen" "${copy}/hack/update-codegen.sh"

status=0
for path in apis artifacts/manager/crds generated; do
  diff -Naur "${path}" "${copy}/${path}" || status=1
done
if [[ "${status}" != 0 ]]; then
  echo "error: generated code is out of date: run make generate" >&2
  exit 1
fi
echo "Generated code is up to date"
