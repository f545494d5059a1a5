import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildChild, hammer, newId, takeTurns } from '../support/store-children.js'
import { killWriters } from '../support/store-kills.js'

let folder: string
let program: Awaited<ReturnType<typeof buildChild>>

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'deputize-files-'))
  program = await buildChild()
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
  program[Symbol.dispose]()
})

describe('fileStore between processes', () => {
  it('V20 four processes lose no step', async () => {
    const spec = { kind: 'file', at: join(folder, 'hammered') } as const
    const { wins, version } = await hammer(spec, 25)
    expect(wins).toEqual([25, 25, 25, 25])
    expect(version).toBe(100)
  })

  it('V20 a row is created by one and deleted by it', async () => {
    const spec = { kind: 'file', at: join(folder, 'turns') } as const
    expect(await takeTurns(spec, 10)).toEqual([10, 10, 10, 10])
  })

  it('V22 kill -9 in the middle of writing: the old row or the new one', async () => {
    const at = join(folder, 'killed')
    const outcomes = await killWriters(program.file, at, 2, 3)
    expect(outcomes.map(({ whole }) => whole)).toEqual(Array(6).fill(true))
    const left = readdirSync(at, { recursive: true, encoding: 'utf8' })
    expect(left.filter((name) => !name.startsWith('.new-'))).toHaveLength(2 * 3)
  })

  it('V22 gives no access to others, also where the umask would', () => {
    const at = join(folder, 'umask')
    const task = { kind: 'file', at, id: newId(), increments: 3 }
    execFileSync('sh', [
      '-c',
      'umask 0 && exec "$0" "$@"',
      process.execPath,
      program.file,
      JSON.stringify(task),
    ])
    const names = ['', ...readdirSync(at, { recursive: true, encoding: 'utf8' })]
    const modes = names.map((name) => statSync(join(at, name)).mode & 0o777)
    expect(modes).toEqual([0o700, 0o700, 0o700, 0o600])
  })
})
