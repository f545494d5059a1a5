import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConfigurationError } from '../errors/outbound.js'
import { VaultUnavailableError } from '../errors/vault.js'
import { describeVaultStore } from '../testing/store-contract.js'
import { fileStore } from './file-store.js'

const row = { sealed: new Uint8Array([1, 2, 3]), version: 1 }
let folder: string
let count = 0
const fresh = () => join(folder, `store-${count++}`)
const newId = () => (count++).toString(16).padStart(64, '0')

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'deputize-file-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describeVaultStore({ describe, it }, () => fileStore(join(folder, 'contract')), {
  name: 'fileStore',
})

/** Every file and directory below `at`, with its mode. */
function modesBelow(at: string): [string, number][] {
  return readdirSync(at, { recursive: true, encoding: 'utf8' }).map((name) => [
    statSync(join(at, name)).isDirectory() ? 'directory' : 'file',
    statSync(join(at, name)).mode & 0o777,
  ])
}

describe('fileStore', () => {
  it('V22 lets nobody else read', async () => {
    const directory = fresh()
    const store = fileStore(directory)
    await store.put(newId(), row)
    const id = newId()
    await store.put(id, row)
    await store.put(id, { ...row, version: 2 }, { replaces: 1 })
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    const modes = modesBelow(directory)
    expect(modes.filter(([kind]) => kind === 'file').map(([, mode]) => mode)).toEqual([
      0o600, 0o600,
    ])
    expect(new Set(modes.filter(([kind]) => kind === 'directory').map(([, mode]) => mode))).toEqual(
      new Set([0o700]),
    )
  })

  it('V22 refuses a directory that others may enter, and takes it once they may not', async () => {
    const directory = fresh()
    mkdirSync(directory)
    chmodSync(directory, 0o750)
    const store = fileStore(directory)
    await expect(store.get(newId())).rejects.toBeInstanceOf(ConfigurationError)
    chmodSync(directory, 0o700)
    expect(await store.get(newId())).toBeUndefined()
  })

  it('V22 refuses a symbolic link and a file in place of its directory', async () => {
    const [target, link, file] = [fresh(), fresh(), fresh()]
    mkdirSync(target, { mode: 0o700 })
    symlinkSync(target, link)
    writeFileSync(file, '')
    await expect(fileStore(link).put(newId(), row)).rejects.toBeInstanceOf(ConfigurationError)
    await expect(fileStore(file).put(newId(), row)).rejects.toBeInstanceOf(VaultUnavailableError)
    expect(readdirSync(target)).toEqual([])
  })

  it('V22 follows no symbolic link in place of a row or of its file', async () => {
    const [directory, elsewhere] = [fresh(), fresh()]
    const store = fileStore(directory)
    const [id, other] = [newId(), newId()]
    await store.put(id, row)
    mkdirSync(elsewhere, { mode: 0o700 })
    writeFileSync(join(elsewhere, 'victim'), 'mine')

    // Not even to a row that is in order.
    const foreign = newId()
    await fileStore(elsewhere).put(foreign, row)
    symlinkSync(join(elsewhere, foreign), join(directory, other))
    for (const call of [
      () => store.get(other),
      () => store.put(other, row),
      () => store.delete(other),
    ]) {
      await expect(call()).rejects.toBeInstanceOf(VaultUnavailableError)
    }

    const [head = ''] = readdirSync(join(directory, id))
    const [file = ''] = readdirSync(join(directory, id, head))
    rmSync(join(directory, id, head, file))
    symlinkSync(join(elsewhere, 'victim'), join(directory, id, head, file))
    await expect(store.get(id)).rejects.toBeInstanceOf(VaultUnavailableError)
    await store.put(id, { ...row, version: 2 }, { replaces: 1 })
    expect(await store.get(id)).toEqual({ ...row, version: 2 })
    expect(readFileSync(join(elsewhere, 'victim'), 'utf8')).toBe('mine')
    expect(await fileStore(elsewhere).get(foreign)).toEqual(row)
  })

  it.each(['', '..', '../../etc', 'a/b', 'A'.repeat(64), '\0'])(
    'V13 V19 takes no path for an id: %j',
    async (id) => {
      const store = fileStore(fresh())
      for (const call of [() => store.get(id), () => store.put(id, row), () => store.delete(id)]) {
        await expect(call()).rejects.toBeInstanceOf(VaultUnavailableError)
      }
    },
  )

  it('keeps one file a row, however often it is written', async () => {
    const directory = fresh()
    const store = fileStore(directory)
    const id = newId()
    for (let version = 1; version <= 20; version++) await store.put(id, { ...row, version })
    expect(readdirSync(directory, { recursive: true })).toHaveLength(3)
    await store.delete(id)
    expect(readdirSync(directory)).toEqual([])
  })

  it('removes what a killed writer left in a row', async () => {
    const directory = fresh()
    const store = fileStore(directory)
    const id = newId()
    await store.put(id, row)
    const [head = ''] = readdirSync(join(directory, id))
    writeFileSync(join(directory, id, head, 'x'.repeat(43)), 'half')
    expect(await store.get(id)).toEqual(row)
    await store.put(id, { ...row, version: 2 }, { replaces: 1 })
    expect(readdirSync(directory, { recursive: true })).toHaveLength(3)
  })

  it('takes the empty directory that a killed delete left for no row', async () => {
    const directory = fresh()
    const store = fileStore(directory)
    const [id, other] = [newId(), newId()]
    await store.put(newId(), row)
    for (const name of [id, other]) mkdirSync(join(directory, name))
    expect(await store.get(id)).toBeUndefined()
    expect(existsSync(join(directory, id))).toBe(false)
    expect(await store.put(other, row, { replaces: 0 })).toBe(true)
  })

  it('sweeps rows past their time and what killed processes left, but nothing that is young', async () => {
    const directory = fresh()
    let nowMs = 10_000_000
    const store = fileStore(directory, { clock: () => nowMs })
    const [passing, lasting] = [newId(), newId()]
    await store.put(passing, { ...row, keepUntilMs: nowMs + 1_000 })
    await store.put(lasting, row)
    for (const name of ['.new-old', '.new-young', '.old-any']) {
      mkdirSync(join(directory, name, 'head'), { recursive: true })
      writeFileSync(join(directory, name, 'head', 'file'), 'left')
    }
    utimesSync(join(directory, '.new-old'), 0, 0)
    nowMs += 3_600_000
    expect(await store.get(passing)).toBeUndefined()
    expect(readdirSync(directory)).toContain(passing)
    await store.put(lasting, { ...row, version: 2 })
    await expect.poll(() => readdirSync(directory).sort()).toEqual(['.new-young', lasting])
  })

  it('fails in time where a row is in disorder', async () => {
    const directory = fresh()
    const store = fileStore(directory)
    const id = newId()
    await store.put(id, row)
    const [head = ''] = readdirSync(join(directory, id))
    mkdirSync(
      join(
        directory,
        id,
        head.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
      ),
    )
    const hasty = fileStore(directory, { timeoutMs: 200 })
    await expect(hasty.get(id)).rejects.toMatchObject({ reason: 'timeout' })
  })

  it.each([undefined, '', 5, 'a\0b'])('refuses %j for a directory', (directory) => {
    expect(() => fileStore(directory as string)).toThrow(/directory must be/)
  })
})
