import { inspect } from 'node:util'
import { deserialize, serialize } from 'node:v8'
import { describe, expect, it } from 'vitest'
import { ConfigurationError } from './errors/outbound.js'
import { VaultUnavailableError } from './errors/vault.js'
import { checkSecretInput, hideSecret, resolveSecret, Secret } from './secret.js'

const canary = 'canary-7f3a'

describe('Secret', () => {
  const secret = new Secret(canary)

  it('reveals on request only', () => {
    expect(secret.reveal()).toBe(canary)
  })

  it.each<[string, () => unknown]>([
    ['String', () => String(secret)],
    ['a template', () => `${secret}`],
    ['concatenation', () => `x${secret as unknown as string}`],
    ['JSON', () => JSON.stringify({ secret })],
    ['inspect', () => inspect({ secret }, { depth: null, showHidden: true, getters: true })],
    [
      'inspect without its hook',
      () => inspect(secret, { showHidden: true, customInspect: false, getters: true }),
    ],
    ['spread', () => inspect({ ...secret })],
    ['entries', () => inspect(Object.entries(secret))],
    ['structuredClone', () => inspect(structuredClone(secret))],
    [
      'v8.serialize',
      () => serialize(secret).toString('latin1') + inspect(deserialize(serialize(secret))),
    ],
    ['an error', () => inspect(new Error(`x ${secret}`, { cause: secret }))],
  ])('W05 W06 is not printed by %s', (_, print) => {
    expect(print()).not.toContain(canary)
  })

  it.each(['', undefined, null, 1, {}, [canary]])('takes no %j', (value) => {
    expect(() => new Secret(value as string)).toThrow(TypeError)
  })
})

describe('resolveSecret', () => {
  it.each<[string, Parameters<typeof resolveSecret>[0]]>([
    ['a string', canary],
    ['a Secret', new Secret(canary)],
    ['a function', () => canary],
    ['a function of a Secret', () => new Secret(canary)],
    ['a promise', async () => canary],
  ])('takes %s', async (_, input) => {
    expect((await resolveSecret(input, 'key')).reveal()).toBe(canary)
  })

  it.each([undefined, '', 5, null])('names the option when a function gives %j', async (value) => {
    await expect(resolveSecret((() => value) as () => string, 'clientSecret')).rejects.toThrow(
      /^clientSecret must be, or give/,
    )
  })

  it.each<[string, () => string | Promise<string>]>([
    [
      'throws',
      () => {
        throw new Error(canary, { cause: { body: canary } })
      },
    ],
    ['rejects', () => Promise.reject(Object.assign(new Error(canary), { code: 'ECONNRESET' }))],
    [
      'throws a string',
      () => {
        throw canary
      },
    ],
  ])('W05 drops what a function that %s says', async (_, give) => {
    const error = await resolveSecret(give, 'key').catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(ConfigurationError)
    expect(error).toMatchObject({ reason: 'secret_function_failed', retryable: true })
    expect((error as Error).message).toMatch(/^key could not be had/)
    expect(inspect(error, { depth: null, showHidden: true })).not.toContain(canary)
  })

  it('keeps a cause that is one of ours', async () => {
    const cause = new VaultUnavailableError({ operation: 'get', reason: 'down' })
    const error = await resolveSecret(() => Promise.reject(cause), 'key').catch((e: unknown) => e)
    expect((error as Error).cause).toBe(cause)
  })
})

describe('checkSecretInput', () => {
  it('takes a string, a Secret and a function', () => {
    for (const good of [canary, new Secret(canary), () => canary]) checkSecretInput(good, 'key')
  })

  it.each([undefined, null, '', 5, {}, []])('names the option when it is %j', (value) => {
    expect(() => checkSecretInput(value, 'clientSecret')).toThrow(/^clientSecret must be/)
  })
})

it('hideSecret wraps a string and leaves the rest', () => {
  const give = () => canary
  const secret = new Secret(canary)
  expect(inspect({ key: hideSecret(canary) })).not.toContain(canary)
  expect(hideSecret(give)).toBe(give)
  expect(hideSecret(secret)).toBe(secret)
})
