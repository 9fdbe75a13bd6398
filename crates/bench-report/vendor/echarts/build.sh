#!/bin/sh
# Builds echarts.min.js from the packages that package-lock.json pins, and checks that the bytes are
# those that are kept here. Needs Node and npm, which neither the build nor the tests do.
set -eu
cd "$(dirname "$0")"
npm ci --silent
npx --no-install esbuild entry.js --bundle --minify --format=iife --target=es2020 --charset=ascii \
    --legal-comments=none --define:process.env.NODE_ENV=\"production\" --outfile=echarts.min.js
cp node_modules/echarts/LICENSE LICENSE-echarts
cp node_modules/echarts/NOTICE NOTICE-echarts
cp node_modules/echarts/licenses/LICENSE-d3 LICENSE-d3
cp node_modules/zrender/LICENSE LICENSE-zrender
cp node_modules/tslib/LICENSE.txt LICENSE-tslib
sha256sum --check SHA256SUMS
