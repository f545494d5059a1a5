/** The package as its users get it: packed, installed from the tarball into an empty folder, and used. */
import { execFileSync } from 'node:child_process'
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { root, subpaths } from '../../scripts/subpaths.js'

let folder: string
let packed: string[]
const installed = (...path: string[]) => join(folder, 'node_modules/deputize', ...path)
const run = (file: string, args: string[], cwd = folder) =>
  execFileSync(file, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

/** What a program prints that stands in the folder of a user. */
function node(program: string, name = 'program.mjs'): string {
  writeFileSync(join(folder, name), program)
  return run(process.execPath, [name]).trim()
}

beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'packed-')))
  const pack = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder]
  const [result] = JSON.parse(run('npm', pack, root))
  packed = result.files.map((file: { path: string }) => file.path)
  writeFileSync(join(folder, 'package.json'), '{ "name": "user", "private": true }')
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts']
  run('npm', ['install', ...quiet, `./${result.filename}`])
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('the tarball', () => {
  it('holds the build, the documents and nothing else', () => {
    const expected = /^(dist\/|package\.json$|(README|CHANGELOG|SECURITY)\.md$|LICENSE$)/
    expect(packed.filter((file) => !expected.test(file) || /\.test\b/.test(file))).toEqual([])
  })

  it.each(['README.md', 'CHANGELOG.md', 'SECURITY.md', 'LICENSE'])('holds %s', (file) => {
    expect(packed).toContain(file)
  })

  it('holds source maps that carry their sources and name no path of this machine', () => {
    for (const file of packed.filter((name) => name.endsWith('.map'))) {
      const map = JSON.parse(readFileSync(installed(file), 'utf8'))
      expect(map.sources.filter(isAbsolute), file).toEqual([])
      expect(map.sourcesContent?.length ?? 0, file).toBe(map.sources.length)
    }
    const withPath = packed.filter((name) => readFileSync(installed(name), 'utf8').includes(root))
    expect(withPath).toEqual([])
  })
})

describe('installed', () => {
  it('brings at most eight packages', () => {
    const lock = readFileSync(join(folder, 'node_modules/.package-lock.json'), 'utf8')
    const packages = Object.keys(JSON.parse(lock).packages)
    expect(packages.length, packages.join()).toBeLessThanOrEqual(8)
  })

  it.each(subpaths)(
    '$specifier can be imported and required, and is one module',
    ({ specifier }) => {
      const program = `
      import { createRequire } from 'node:module'
      import * as imported from '${specifier}'
      const required = createRequire(import.meta.url)('${specifier}')
      console.log(Object.keys(imported).length > 0 && required === imported)`
      expect(node(program)).toBe('true')
    },
  )

  it('has one copy of each class and function, whatever the subpath', () => {
    const program = `
      const root = await import('deputize')
      const twice = []
      let same = 0
      for (const specifier of ${JSON.stringify(subpaths.map(({ specifier }) => specifier))}) {
        const part = await import(specifier)
        for (const [name, value] of Object.entries(part)) {
          if (typeof value !== 'function' || !(name in root)) continue
          if (root[name] === value) same++
          else twice.push(specifier + ' ' + name)
        }
      }
      const { DeputizeError } = await import('deputize/errors')
      console.log(JSON.stringify({ twice, shared: same > 0, base: DeputizeError === root.DeputizeError }))`
    expect(JSON.parse(node(program))).toEqual({ twice: [], shared: true, base: true })
  })

  // What has no Node in its name runs everywhere.
  it.each(['dist/index.js', 'dist/hono/index.js'])(
    'reaches no Node built-in but node:async_hooks from %s, and no optional package',
    (entry) => {
      const reached = new Set<string>()
      const outside = new Set<string>()
      const visit = (file: string): void => {
        if (reached.has(file)) return
        reached.add(file)
        for (const { fileName } of ts.preProcessFile(readFileSync(file, 'utf8')).importedFiles) {
          if (fileName.startsWith('.')) visit(resolve(dirname(file), fileName))
          else outside.add(fileName.replace(/^(jose|oauth4webapi)\/.*$/, '$1'))
        }
      }
      visit(installed(entry))
      const allowed = ['node:async_hooks', ...Object.keys(manifest.dependencies)]
      expect([...outside].filter((name) => !allowed.includes(name))).toEqual([])
    },
  )

  it('has types that a strict program of a user compiles against', () => {
    const lines = subpaths.map(({ specifier }, at) => `export * as part${at} from '${specifier}'`)
    writeFileSync(join(folder, 'types.mts'), lines.join('\n'))
    const options: ts.CompilerOptions = {
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      target: ts.ScriptTarget.ES2022,
      lib: [
        'lib.es2022.d.ts',
        'lib.esnext.disposable.d.ts',
        'lib.dom.d.ts',
        'lib.dom.iterable.d.ts',
      ],
      strict: true,
      noEmit: true,
      types: ['node'],
      typeRoots: [join(root, 'node_modules/@types')],
    }
    const program = ts.createProgram([join(folder, 'types.mts')], options)
    const messages = ts
      .getPreEmitDiagnostics(program)
      .filter(({ file }) => !file || file.fileName.startsWith(folder))
      .map((d) => `${d.file?.fileName} ${ts.flattenDiagnosticMessageText(d.messageText, ' ')}`)
    expect(messages).toEqual([])
  })

  it('runs the first program of the README as it stands there', () => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8')
    const section = /^#+ .*\bfirst program\b.*$([\s\S]*)/im.exec(readme)?.[1] ?? ''
    const program = /^```(?:ts|typescript)\b.*\n([\s\S]*?)^```/m.exec(section)?.[1]
    expect(program, 'README.md has a heading "A first program" with a ts fence').toBeDefined()
    const { outputText } = ts.transpileModule(program!, {
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
    })
    node(outputText, 'first.mjs') // throws when it exits with anything but 0
    expect(readdirSync(folder)).toContain('first.mjs')
  })
})
