/** What an import costs: the root entry, minified and gzipped, and the packages of a production install. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'tsup'
import { productionPackages, root } from './subpaths.js'

/**
 * jose and oauth4webapi stay outside: they are packages of their own. The strict readers of token answers and metadata,
 * leases in rows of their own, and the order of consents brought it from below 60,000 to 71,000.
 */
const ROOT_LIMIT_BYTES = 72_000
const PACKAGES_LIMIT = 8

const outDir = mkdtempSync(join(tmpdir(), 'size-'))
try {
  await build({
    config: false,
    silent: true,
    entry: { root: join(root, 'dist/index.js') },
    outDir,
    format: 'esm',
    platform: 'neutral',
    removeNodeProtocol: false,
    external: [/^node:/, /^jose/, /^oauth4webapi/],
    target: 'es2022',
    minify: true,
    splitting: false,
    treeshake: true,
  })
  const bytes = readdirSync(outDir).reduce(
    (sum, file) => sum + gzipSync(readFileSync(join(outDir, file)), { level: 9 }).length,
    0,
  )
  const packages = productionPackages()
  console.log(`root entry: ${bytes} bytes minified and gzipped (limit ${ROOT_LIMIT_BYTES})`)
  console.log(
    `production install brings: ${packages.join(', ')} (limit ${PACKAGES_LIMIT} packages)`,
  )
  if (bytes > ROOT_LIMIT_BYTES || packages.length > PACKAGES_LIMIT) {
    console.error('Over the limit: take the cause out, or raise the limit here and say why.')
    process.exitCode = 1
  }
} finally {
  rmSync(outDir, { recursive: true, force: true })
}
