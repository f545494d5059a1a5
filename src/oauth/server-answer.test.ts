import { describe, expect, it } from 'vitest'
import { readServerAnswer, soleMember } from './server-answer.js'

const read = (body: string | Uint8Array<ArrayBuffer>) =>
  readServerAnswer(new Response(body), { provider: 'p', what: 'request', clock: () => 0 })

describe('the body of an answer', () => {
  it.each<[body: string, members: object]>([
    ['{"a":1,"b":null}', { a: 1 }],
    [' {} ', {}],
    ['{"a":{"b":null}}', { a: { b: null } }],
  ])('%j is an object', async (body, members) => {
    const answer = await read(body)
    expect({ ...answer.members }).toEqual(members)
    expect(answer.fault).toBeUndefined()
  })

  it.each<[body: string, fault: string]>([
    ['', 'empty answer'],
    [' \n', 'empty answer'],
    ['<html></html>', 'not JSON'],
    ['{"a":', 'broken JSON'],
    ['[]', 'no JSON object'],
    ['null', 'no JSON object'],
    ['"x"', 'no JSON object'],
    ['{"a":1,"a":1}', 'a member twice'],
    ['{"a":1,"\\u0061":1}', 'a member twice'],
    ['{"x":{"a":1,"a":2}}', 'a member twice'],
    ['{"a":"\\ud800"}', 'JSON that readers disagree on'],
    ['{"a":1e999}', 'JSON that readers disagree on'],
    [`{"a":${'['.repeat(40)}${']'.repeat(40)}}`, 'JSON that readers disagree on'],
    ['\ufeff{}', 'JSON that readers disagree on'],
  ])('%j is none: %s', async (body, fault) => {
    const answer = await read(body)
    expect(answer.fault).toBe(fault)
    expect(answer.members).toBeUndefined()
  })

  it('that is no UTF-8 is none', async () => {
    expect(await read(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))).toMatchObject({
      fault: 'JSON that readers disagree on',
    })
  })
})

describe('a member that occurs once', () => {
  it.each<[text: string, value: string | undefined]>([
    ['{"t":"x"}', 'x'],
    ['{"a":1,"a":2,"t":"x"}', 'x'],
    ['{"a":{"t":"y"},"t":"x"}', 'x'],
    ['{"a":[{"t":"y"}],"t" : "x"}', 'x'],
    ['{"\\u0074":"\\u0078"}', 'x'],
    ['{"a":"t","t":"x"}', 'x'],
    ['{"a":"\\"t\\":\\"y\\"","t":"x"}', 'x'],
    ['{"t":"x","a":', 'x'],
    ['{"t":"x","a":"broken', 'x'],
    ['{"t":"x"', 'x'],
    ['{"t":"x","t":"y"}', undefined],
    ['{"t":"x","\\u0074":"x"}', undefined],
    ['{"t":"x","t":null}', undefined],
    ['{"t":null}', undefined],
    ['{"t":{"t":"x"}}', undefined],
    ['{"t":"x', undefined],
    ['{"t":"\\x"}', undefined],
    ['"t":"x"', undefined],
    ['[{"t":"x"}]', undefined],
    ['t', undefined],
    ['', undefined],
  ])('in %j is %j', (text, value) => {
    expect(soleMember(text, 't')).toBe(value)
  })

  it('is found in a text of a megabyte within a moment', () => {
    const text = `{"a":"${'\\\\'.repeat(250_000)}","b":${'['.repeat(100_000)}${']'.repeat(100_000)},"t":"x"}`
    expect(soleMember(text, 't')).toBe('x')
  })
})
