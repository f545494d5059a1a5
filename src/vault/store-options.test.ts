import { describe, expect, it } from 'vitest'
import { postgresStore } from './postgres-store.js'
import type { RedisLike } from './redis-like.js'
import { redisStore } from './redis-store.js'
import { type SqliteLike, sqliteStore } from './sqlite-store.js'

/** Fails when it is used: making a store must not. */
const untouched = () => {
  throw new Error('used at construction')
}
const redis = { eval: untouched, evalSha: untouched }
const pool = { query: untouched }
const handle = { exec: untouched, prepare: untouched }

describe('redisStore', () => {
  it.each([undefined, null, {}, { get: untouched }])('refuses %o for a client', (client) => {
    expect(() => redisStore(client as unknown as RedisLike)).toThrow(/it has no eval\(\)/)
  })
  it('refuses what has an eval() of neither client', () => {
    expect(() => redisStore({ eval: untouched } as unknown as RedisLike)).toThrow(/neither evalSha/)
  })
  it.each(['', 5, 'x'.repeat(201), '\ud800'])('refuses the prefix %j', (prefix) => {
    expect(() => redisStore(redis, { prefix: prefix as string })).toThrow(/prefix must be/)
  })
})

describe('postgresStore', () => {
  it('refuses what has no query()', () => {
    expect(() => postgresStore({} as typeof pool)).toThrow(/it has no query\(\)/)
  })
  it.each([
    '',
    'a b',
    'a"b',
    'Upper',
    '1a',
    'a.b.c',
    'a.',
    'x'.repeat(64),
    "a';drop table b",
    'ä',
    5,
  ])('V19 refuses the table %j', (table) => {
    expect(() => postgresStore(pool, { table: table as string })).toThrow(/table must be/)
  })
  it.each(['a', '_a1', 'a.b', 'x'.repeat(63)])('takes the table %j', (table) => {
    expect(() => postgresStore(pool, { table })).not.toThrow()
  })
})

describe('sqliteStore', () => {
  it.each([undefined, {}, { exec: untouched }])('refuses %o for a handle', (given) => {
    expect(() => sqliteStore(given as unknown as SqliteLike)).toThrow(
      /it has no (exec|prepare)\(\)/,
    )
  })
  it.each(['', 'a b', 'a"b', 'a.b', 'Upper', 'x'.repeat(64), 5])(
    'V19 refuses the table %j',
    (table) => {
      expect(() => sqliteStore(handle, { table: table as string })).toThrow(/table must be/)
    },
  )
})

describe.each([
  ['redisStore', (timeoutMs: number) => redisStore(redis, { timeoutMs })],
  ['postgresStore', (timeoutMs: number) => postgresStore(pool, { timeoutMs })],
  ['sqliteStore', (timeoutMs: number) => sqliteStore(handle, { timeoutMs })],
])('%s', (_name, make) => {
  it.each([0, -1, Number.NaN, 60_001, '5' as unknown as number])(
    'refuses a timeoutMs of %s',
    (timeoutMs) => {
      expect(() => make(timeoutMs)).toThrow(/timeoutMs must be 1 to 60000/)
    },
  )
  it('touches nothing at construction', () => {
    expect(() => make(60_000)).not.toThrow()
  })
})
