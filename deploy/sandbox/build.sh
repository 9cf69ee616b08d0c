#!/bin/sh
# Builds the sandbox's image under the tag the runner looks for.
#
#   deploy/sandbox/build.sh                     from debian:bookworm-slim
#   BASE_IMAGE=registry/image deploy/sandbox/build.sh
#
# Where no base image can be pulled, a stand-in with the same programs is made from this machine's Debian packages
# (needs mmdebstrap or debootstrap, and root).
set -eu
cd "$(dirname "$0")"
TAG="${TAG:-patchwright-sandbox:1}"
BASE_IMAGE="${BASE_IMAGE:-debian:bookworm-slim}"
PACKAGES=ca-certificates,findutils,git,make,nodejs,npm,python-is-python3,python3,python3-pip,python3-pytest,python3-venv,tar

docker version >/dev/null 2>&1 || {
  echo "No container engine answers. Install and start one (Debian/Ubuntu: apt-get install docker.io), then run this again." >&2
  exit 1
}

if docker image inspect "$BASE_IMAGE" >/dev/null 2>&1 || timeout 120 docker pull -q "$BASE_IMAGE" >/dev/null 2>&1; then
  # The classic builder: not every engine has buildx.
  DOCKER_BUILDKIT=0 docker build -q --build-arg BASE_IMAGE="$BASE_IMAGE" -t "$TAG" .
  exit 0
fi

echo "$BASE_IMAGE cannot be pulled; making a stand-in from Debian packages." >&2
. /etc/os-release
SUITE="${SUITE:-${VERSION_CODENAME:-bookworm}}"
ROOTFS="$(mktemp -d)"
trap 'rm -rf "$ROOTFS"' EXIT
if command -v mmdebstrap >/dev/null; then
  # Without a mirror's address mmdebstrap takes this machine's own package sources.
  mmdebstrap --variant=minbase --include="$PACKAGES" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --aptopt='Apt::Install-Recommends "false"' --customize-hook='mkdir -p "$1/work" "$1/deps"' \
    "$SUITE" "$ROOTFS/rootfs.tar" >&2
elif command -v debootstrap >/dev/null; then
  MIRROR="$(grep -hoE '^(deb|URIs:) +(\[[^]]*\] +)?[a-z]+://[^ ]+' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -oE '[a-z]+://.*' | head -n 1)"
  debootstrap --variant=minbase --include="$PACKAGES" "$SUITE" "$ROOTFS/root" ${MIRROR:+"$MIRROR"} >&2
  mkdir -p "$ROOTFS/root/work" "$ROOTFS/root/deps"
  tar -C "$ROOTFS/root" -cf "$ROOTFS/rootfs.tar" .
else
  echo "Install mmdebstrap (apt-get install mmdebstrap), or set BASE_IMAGE to an image that can be pulled." >&2
  exit 1
fi
eval docker import $(for change in "USER 1000:1000" "WORKDIR /work" 'CMD ["sleep","3600"]'; do printf ' --change %s' "'$change'"; done) '"$ROOTFS/rootfs.tar"' '"$TAG"'
