import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { ConfigurationError } from '../errors/outbound.js'
import { VaultUnavailableError } from '../errors/vault.js'
import { postgresStore } from './postgres-store.js'

const id = 'a'.repeat(64)
const row = { sealed: new Uint8Array([1]), version: 1 }

/** A pool that answers with `replies`, one after the other, and keeps what it was asked. */
function pool(...replies: (string | readonly unknown[])[]) {
  const asked: string[] = []
  const query = async (text: string) => {
    asked.push(text.split(' ', 2).join(' '))
    const reply = replies.shift()
    if (reply === undefined) throw new Error('asked once too often')
    if (typeof reply !== 'string') return { rows: reply }
    throw Object.assign(new Error('s3cr3t'), { code: reply, detail: 's3cr3t' })
  }
  return { query, asked }
}

describe('postgresStore', () => {
  it.each(['23505', '42P07', '42710'])(
    'goes on when another process made the table or its index at the same moment (%s)',
    async (state) => {
      const asking = pool('42P01', state, state, [{ id }])
      expect(await postgresStore(asking).put(id, row, { replaces: 0 })).toBe(true)
      expect(asking.asked).toEqual(['insert into', 'create table', 'create index', 'insert into'])
    },
  )

  it.each(['40001', '40P01'])(
    'V24 makes a step again that was not put in order (%s)',
    async (state) => {
      const asking = pool(state, state, [{ id }])
      expect(await postgresStore(asking).put(id, row, { replaces: 1 })).toBe(true)
      expect(asking.asked).toHaveLength(3)
    },
  )

  it('V24 gives up after a number of tries', async () => {
    const asking = pool(...Array.from({ length: 100 }, () => '40001'))
    await expect(postgresStore(asking).get(id)).rejects.toMatchObject({
      name: 'VaultUnavailableError',
      reason: '40001',
    })
    expect(asking.asked).toHaveLength(20)
  })

  it.each(['57P01', '57P03', '53300', '08006', 'ECONNREFUSED'])(
    'V24 makes no step again whose outcome is not known (%s), and keeps nothing of what was said',
    async (code) => {
      const asking = pool(code)
      const error = await postgresStore(asking)
        .put(id, row)
        .catch((e: unknown) => e)
      expect(error).toBeInstanceOf(VaultUnavailableError)
      expect(asking.asked).toHaveLength(1)
      expect(inspect(error, { depth: 9 })).not.toContain('s3cr3t')
    },
  )

  it.each(['3F000', '42501', '42703', '42P10'])(
    'tells what waiting does not mend (%s)',
    async (state) => {
      await expect(postgresStore(pool(state)).get(id)).rejects.toBeInstanceOf(ConfigurationError)
      await expect(postgresStore(pool('42P01', state)).get(id)).rejects.toBeInstanceOf(
        ConfigurationError,
      )
    },
  )

  it('takes bytes that are none for corrupt', async () => {
    const asking = pool([{ sealed: '\\x01', version: '1', keep_until_ms: null }])
    await expect(postgresStore(asking).get(id)).rejects.toMatchObject({ code: 'ERR_VAULT_CORRUPT' })
  })
})
