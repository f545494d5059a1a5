/**
 * Compiles every TypeScript fence of the documents against the library, each as a module of its own.
 *
 * What a fence takes for granted is declared in a comment right before it, one declaration a line:
 *
 *   <!-- declare:
 *   const issuer: string
 *   module 'ky'
 *   -->
 *
 * There is no way to leave a fence out: whatever follows `ts` in the info string is ignored.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { root } from './subpaths.js'

const documents = ['README', 'ARCHITECTURE', 'CONTRIBUTING', 'SECURITY', 'CHANGELOG']

interface Fence {
  readonly document: string
  readonly line: number // of the first line inside, counted from 1
  readonly preamble: readonly string[]
  readonly code: string
}

function fencesOf(document: string): Fence[] {
  const lines = readFileSync(join(root, document), 'utf8').split('\n')
  const fences: Fence[] = []
  let preamble: string[] = []
  for (let at = 0; at < lines.length; at++) {
    const comment = /^\s*<!--\s*declare:(.*)$/.exec(lines[at]!)
    if (comment) {
      let text = comment[1]!
      while (!text.includes('-->') && at + 1 < lines.length) text += `\n${lines[++at]}`
      preamble.push(...text.replace(/-->.*$/s, '').split('\n'))
      continue
    }
    const open = /^\s*(`{3,}|~{3,})\s*(\S*)/.exec(lines[at]!)
    if (open) {
      const line = at + 2
      const code: string[] = []
      while (++at < lines.length && !lines[at]!.trim().startsWith(open[1]!)) code.push(lines[at]!)
      if (/^(ts|typescript)$/i.test(open[2]!.replace(/[,{:].*$/, ''))) {
        const wanted = preamble.map((text) => text.trim()).filter((text) => text !== '')
        fences.push({ document, line, preamble: wanted, code: code.join('\n') })
      }
    }
    if (open || lines[at]!.trim() !== '') preamble = []
  }
  return fences
}

const fences = documents
  .map((name) => `${name}.md`)
  .filter((file) => existsSync(join(root, file)))
  .flatMap(fencesOf)

// Each fence is a file beside package.json that exists in memory only; `module 'x'` lines are ambient, for all.
const files = new Map<string, string>()
const places = new Map<string, { fence: Fence; shift: number }>()
const ambient = new Set<string>()
for (const fence of fences) {
  const local = fence.preamble.filter((text) => !text.startsWith('module '))
  for (const text of fence.preamble) if (text.startsWith('module ')) ambient.add(text)
  const head = local.map((text) => (text.startsWith('import ') ? text : `declare ${text}`))
  const path = join(root, `${fence.document}.${fence.line}.ts`)
  files.set(path, [...head, fence.code, 'export {}'].join('\n'))
  places.set(path, { fence, shift: fence.line - head.length })
}
files.set(join(root, 'documents.d.ts'), [...ambient].map((text) => `declare ${text}`).join('\n'))

const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
const { options } = ts.parseJsonConfigFileContent(
  { ...config, files: [], include: [] },
  ts.sys,
  root,
)
const host = ts.createCompilerHost(options)
const { fileExists, getSourceFile } = host
host.fileExists = (path) => files.has(path) || fileExists(path)
host.getSourceFile = (path, target, ...rest) => {
  const text = files.get(path)
  return text === undefined
    ? getSourceFile(path, target, ...rest)
    : ts.createSourceFile(path, text, target)
}

const program = ts.createProgram([...files.keys()], options, host)
let failures = 0
for (const { file, start = 0, messageText } of ts.getPreEmitDiagnostics(program)) {
  const message = ts.flattenDiagnosticMessageText(messageText, '\n  ')
  const place = file && places.get(file.fileName)
  const line = file?.getLineAndCharacterOfPosition(start).line ?? 0
  const name = place
    ? `${place.fence.document}:${line + place.shift}`
    : (file?.fileName ?? 'options')
  console.error(`${name}  ${message}`)
  failures++
}
console.log(`${fences.length} fences, ${failures} errors`)
if (failures > 0) process.exitCode = 1
