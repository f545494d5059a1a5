/**
 * Runs one program of a folder, straight from src.
 *
 *   npm run bench                lists what bench/ holds
 *   npm run bench import-time    runs bench/import-time.ts; further arguments are handed on
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './subpaths.js'

const [folder = '', name, ...rest] = process.argv.slice(2)

const names = (existsSync(join(root, folder)) ? readdirSync(join(root, folder)) : [])
  .filter((file) => /^[a-z0-9-]+\.ts$/.test(file))
  .map((file) => file.replace(/\.ts$/, ''))
  .filter(isProgram)
  .sort()

/** A program says how it is run; the other files are what they share. */
function isProgram(name: string): boolean {
  const command = `npm run ${folder.replace(/s$/, '')} ${name}`
  return readFileSync(join(root, folder, `${name}.ts`), 'utf8').includes(command)
}

/** The first line of the comment that the file starts with. */
function describe(program: string): string {
  const text = readFileSync(join(root, folder, `${program}.ts`), 'utf8')
  return (
    /^(?:\/\/\s*|\/\*\*?[\s*]*)(.+?)(?:\s*\*\/)?$/m.exec(text.split('\n\n')[0] ?? '')?.[1] ?? ''
  )
}

if (name === undefined) {
  const width = Math.max(0, ...names.map((n) => n.length))
  for (const n of names) console.log(`${n.padEnd(width)}  ${describe(n)}`)
} else if (!names.includes(name)) {
  console.error(`No ${folder}/${name}.ts. Known: ${names.join(', ') || 'none'}`)
  process.exitCode = 1
} else {
  const program = join(folder, `${name}.ts`)
  const run = spawnSync(process.execPath, ['--expose-gc', '--import', 'tsx', program, ...rest], {
    cwd: root,
    stdio: 'inherit',
  })
  process.exitCode = run.status ?? 1
}
