#!/bin/sh
# Makes what runs in production: compiled code, settings, production dependencies, and nothing else. The Dockerfile calls
# it, and `npm run image:check` runs the same in a clean folder.
#   deploy/build.sh <target>   from the root of the sources; the target folder is made
set -eu
target=${1:?name the folder to make}
quiet='--no-audit --no-fund --loglevel=error'
mkdir -p "$target/configs" "$target/deploy"

# shellcheck disable=SC2086
npm ci --ignore-scripts $quiet
node_modules/.bin/tsc -p configs/tsconfig.build.json --outDir "$target/dist" \
  --declaration false --sourceMap false --tsBuildInfoFile node_modules/.cache/image.tsbuildinfo
# What the browser loads at /console, bundled.
node configs/console.mjs "$target/dist/api/console"
# What Node.js loads, in few files.
node configs/program.mjs "$target/dist"
chmod +x "$target/dist/cli/jetledger.js"

cp package.json package-lock.json .npmrc LICENSE "$target/"
cp configs/default.yaml configs/development.yaml configs/test.yaml configs/production.yaml "$target/configs/"
cp deploy/healthcheck.mjs "$target/deploy/"
# shellcheck disable=SC2086
(cd "$target" && npm ci --omit=dev --ignore-scripts $quiet)
