/**
 * The rules of the house, as a test. A red line here means: move the code, or change the rule in
 * this file and say why in the commit.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { root, subpaths } from '../scripts/subpaths.js'
import tsconfig from '../tsconfig.json' with { type: 'json' }
import { importsOf, runsAtImport } from './source-rules.js'

/** Top to bottom. A file may import from the lines below its own, and from its own folder. */
const layers = [
  ['index'],
  ['adapters', 'agentcore', 'testing'],
  ['adapters/node'],
  ['tools', 'fetch'],
  ['inbound', 'outbound'],
  ['context'],
  ['providers'],
  ['workload', 'oauth'],
  ['aws'],
  ['jwt', 'sigv4', 'vault'],
  ['discovery'],
  ['document'],
  ['http', 'strict-json', 'audit', 'access-token'],
  ['principal', 'shared-work', 'running-calls'],
  ['flight'],
  ['moment'],
  ['secret', 'option-names', 'address'],
  ['abortable', 'bytes', 'clock', 'errors', 'builtin'],
  ['maybe-promise'],
]

/** Packages from outside, and the only folder that may name each. Whoever replaces one replaces one folder. */
const seams: readonly (readonly [RegExp, string])[] = [
  [/^jose(\/|$)/, 'jwt'],
  [/^oauth4webapi$/, 'oauth'],
  [/^@(aws-sdk|smithy)\//, 'aws'],
  [/^node:async_hooks$/, 'context'],
]

/** Where other Node built-ins may be named: what has a subpath of its own that only Node imports. */
const nodeOnly = ['adapters/node/', 'testing/', 'vault/file-store.ts']

/** Published though it is no folder with an index. */
const publishedFiles = ['vault/file-store.ts']
/** Folders that are ours alone. */
const unpublished = ['jwt', 'sigv4', 'oauth']

const MAX_LINES = 300
const MAX_FLOOR_LINES = 120

const src = join(root, 'src')
const all = readdirSync(src, { recursive: true, encoding: 'utf8' }).sort()
const tests = all.filter((file) => file.endsWith('.test.ts'))
const files = all.filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))

/** `vault/store.ts` is in `vault`, `http.ts` in `http`, `adapters/node/index.ts` in `adapters/node`. */
function folderOf(file: string): string {
  const [first = '', second] = file.split('/')
  return first === 'adapters' && second ? `${first}/${second}` : first.replace(/\.ts$/, '')
}
function layerOf(file: string): number {
  const folder = folderOf(file)
  const own = layers.findIndex((line) => line.includes(folder)) // `adapters/node` has a line of its own
  return own >= 0 ? own : layers.findIndex((line) => line.includes(folder.replace(/\/.*/, '')))
}
const textOf = (file: string) => readFileSync(join(src, file), 'utf8')
const linesOf = (file: string) => textOf(file).trimEnd().split('\n').length

const sources = new Map(
  files.map((file) => [
    file,
    ts.createSourceFile(file, textOf(file), ts.ScriptTarget.ES2022, true),
  ]),
)
const imports = new Map(
  [...sources].map(([file, source]) => {
    const names = importsOf(source)
    const own = names
      .filter((name) => name.startsWith('.'))
      .map((name) => relative(src, resolve(src, dirname(file), name.replace(/\.js$/, '.ts'))))
    return [file, { own, foreign: names.filter((name) => !name.startsWith('.')) }]
  }),
)

/** Why `file` may not name the package `name`. */
function seamRefusal(file: string, name: string): string | undefined {
  const seam = seams.find(([pattern]) => pattern.test(name))
  if (seam) return folderOf(file) === seam[1] ? undefined : `only ${seam[1]}/ names ${name}`
  if (name.startsWith('node:')) {
    const allowed = nodeOnly.some((place) => file === place || file.startsWith(place))
    return allowed ? undefined : `${name} is for ${nodeOnly.join(', ')}; elsewhere use builtin.ts`
  }
  return `${name} has no seam: describe what you need of it as a type, or give it a folder`
}

describe('the house', () => {
  it.each(files)('%s has a place in the layers', (file) => {
    expect(layerOf(file), `add "${folderOf(file)}" to layers`).toBeGreaterThanOrEqual(0)
  })

  it.each(files)('%s imports downwards only, from files that exist', (file) => {
    for (const to of imports.get(file)!.own) {
      expect(sources.has(to), `${file} imports ${to}, which is not in src/`).toBe(true)
      const fine = folderOf(to) === folderOf(file) || layerOf(to) > layerOf(file)
      expect(fine, `${file} must not import ${to}`).toBe(true)
    }
  })

  it.each(files)('%s goes through no index of another folder', (file) => {
    if (file === 'index.ts') return
    for (const to of imports.get(file)!.own) {
      expect(/(^|\/)index\.ts$/.test(to), `${file}: import the file behind ${to}`).toBe(false)
    }
  })

  it('has no import circle, types and dynamic imports included', () => {
    const done = new Set<string>()
    const visit = (file: string, path: readonly string[]): void => {
      expect(path, `circle: ${[...path, file].join(' -> ')}`).not.toContain(file)
      if (done.has(file)) return
      for (const to of imports.get(file)?.own ?? []) visit(to, [...path, file])
      done.add(file)
    }
    for (const file of files) visit(file, [])
  })

  it.each(files)('%s names outside packages only at their seam', (file) => {
    const refusals = imports.get(file)!.foreign.map((name) => seamRefusal(file, name))
    expect(refusals.filter((refusal) => refusal !== undefined).join('\n')).toBe('')
  })

  it.each(files)(`%s fits in ${MAX_LINES} lines`, (file) => {
    expect(linesOf(file)).toBeLessThanOrEqual(MAX_LINES)
  })

  it.each(files.filter((file) => layers.at(-1)!.includes(file.replace(/\.ts$/, ''))))(
    `%s, a leaf of the floor, stays under ${MAX_FLOOR_LINES} lines`,
    (file) => {
      expect(linesOf(file)).toBeLessThan(MAX_FLOOR_LINES)
    },
  )

  it.each(files)('%s runs nothing at import and keeps no state of its own', (file) => {
    expect(runsAtImport(sources.get(file)!).join('\n')).toBe('')
  })

  it.each(tests.filter((file) => file.startsWith('inbound/')))(
    '%s has its verifiers from where whatever they refuse is presented again',
    (file) => {
      const imported = /^import \{[^}]*(?<!type )\bInboundVerifier\b[^}]*\} from '(.+)'/m
      const from = imported.exec(textOf(file))?.[1]
      if (from !== undefined) expect(from).toMatch(/\/test\/support\/inbound-verifier\.js$/)
    },
  )

  it('has no drawer', () => {
    const drawer = /(^|\/)(utils?|helpers?|common|misc|shared|lib)(\/|\.)/
    expect(files.filter((file) => drawer.test(file))).toEqual([])
  })

  it('publishes exactly the folders that have an index', () => {
    const withIndex = files.filter((file) => /(^|\/)index\.ts$/.test(file))
    const expected = [...withIndex, ...publishedFiles.filter((file) => sources.has(file))]
    const published = subpaths.map(({ source }) => source.replace('src/', ''))
    expect(published.sort()).toEqual(expected.sort())
    expect(withIndex.filter((file) => unpublished.includes(folderOf(file)))).toEqual([])
  })

  it.each(subpaths)('names $specifier after its folder', ({ name, types, code, source }) => {
    const file = source.replace(/^src\/(adapters\/)?/, '')
    expect(file.replace(/(\/index|-store)?\.ts$/, '')).toBe(name)
    expect(code).toBe(`dist/${file.replace(/\.ts$/, '.js')}`)
    expect(types).toBe(`dist/${file.replace(/\.ts$/, '.d.ts')}`)
  })

  it.each(subpaths)('leads $specifier to its source in tsconfig.json', ({ specifier, source }) => {
    const { options } = ts.parseJsonConfigFileContent(tsconfig, ts.sys, root)
    const { resolvedModule } = ts.resolveModuleName(specifier, join(root, 'x.ts'), options, ts.sys)
    expect(resolvedModule?.resolvedFileName).toBe(join(root, source))
  })
})
