import { describe, expect, it } from 'vitest'
import { parseOpenText } from '../strict-json.js'
import { heldBytes } from './held-bytes.js'

const of = (text: string) => {
  const json = parseOpenText(text)
  if (!json.ok) throw new Error(json.reason)
  return heldBytes(json.value)
}

describe('the memory of parsed JSON', () => {
  it('counts every value, at every depth', () => {
    expect([of('1'), of('true'), of('null'), of('-5')]).toEqual([0, 0, 0, 0])
    expect([of('1.5'), of('3000000000'), of('-0')]).toEqual([16, 16, 16])
    expect([of('""'), of('"abc"')]).toEqual([24, 27])
    expect([of('"é"'), of('"é€"')]).toEqual([25, 28])
    expect([of('[]'), of('[1,2]'), of('["a"]')]).toEqual([48, 64, 48 + 8 + 25])
    expect([of('{}'), of('{"ab":1}')]).toEqual([128, 128 + 90])
    expect(of('{"a":[{"b":[1.5]}]}')).toBe(128 + 89 + (56 + (128 + 89 + (56 + 16))))
  })

  it('counts many small objects as more than their text', () => {
    const text = `[${Array(4000).fill('{}').join(',')}]`
    expect(of(text)).toBe(48 + 4000 * 136)
  })
})
