/** The library as it is published: what tsx makes of src keeps the name of every closure, at a cost of its own. */
import { spawnSync } from 'node:child_process'
import { distIsStale, root } from '../scripts/subpaths.js'

if (distIsStale()) {
  const { status } = spawnSync('npx tsup --silent', { cwd: root, shell: true, stdio: 'inherit' })
  if (status !== 0) throw new Error('The build failed.')
}

const index: string = new URL('../dist/index.js', import.meta.url).href
export const { InboundVerifier, jwtBearer } = (await import(index)) as typeof import('deputize')
const inbound: string = new URL('../dist/inbound/index.js', import.meta.url).href
export const { sigv4 } = (await import(inbound)) as typeof import('deputize/inbound')
const node: string = new URL('../dist/node/index.js', import.meta.url).href
export const { rawRequest } = (await import(node)) as typeof import('deputize/node')
