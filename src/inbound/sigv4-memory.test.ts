import { describe, expect, it } from 'vitest'
import { headerOf, smithy, verifierOf, withHeader } from '../../test/support/aws-signers.js'
import type { RawRequest } from './index.js'

const codeOf = (verified: Promise<unknown>) =>
  verified.then(
    () => undefined,
    (error: { code: string }) => error.code,
  )

/** Requests of twelve kinds: twice as many as the verifier remembers headers of, and one target each. */
const kinds = Array.from({ length: 12 }, (_, n) => ({
  method: 'POST',
  target: `/invoke/${n}?a=${n}`,
  headers: { 'content-type': 'text/plain', ...(n === 0 ? {} : { [`x-kind-${n}`]: 'one' }) },
  body: 'x',
}))

describe('sigv4, what it remembers of earlier requests', () => {
  it('is never a verdict', async () => {
    const verifier = verifierOf({ replay: null, signedHeaders: ['x-unsigned'] })
    const requests = await Promise.all(kinds.map((kind) => smithy(kind)))
    const expected = kinds.map(() => undefined)
    for (let round = 0; round < 3; round++) {
      const verified = requests.map((request) => codeOf(verifier.verify(request)))
      expect(await Promise.all(verified)).toEqual(expected)
      for (const [n, request] of requests.entries()) {
        const refused = async (changed: RawRequest, code: string) =>
          expect(await codeOf(verifier.verify(changed)), `${n}: ${code}`).toBe(code)
        const swapped = requests[(n + 1) % requests.length]!
        await refused({ ...request, target: swapped.target }, 'ERR_BAD_SIGNATURE')
        await refused({ ...request, body: Buffer.from('y') }, 'ERR_BODY_MISMATCH')
        await refused(withHeader(request, 'x-unsigned', '1'), 'ERR_UNSIGNED_HEADER')
        await refused(withHeader(request, 'x-amz-date', undefined), 'ERR_MALFORMED_SIGNATURE')
        await refused(withHeader(request, 'content-type', 'text/html'), 'ERR_BAD_SIGNATURE')
        const bell = withHeader(request, 'content-type', 'text/plain\u0007')
        await refused(bell, 'ERR_MALFORMED_SIGNATURE')
        // Blanks at the ends and in a row are not signed (S11), whatever the value before looked like.
        const blanks = withHeader(request, 'content-type', ' text/plain\t')
        expect(await codeOf(verifier.verify(blanks)), `${n}: blanks`).toBeUndefined()
        const authorization = headerOf(request, 'authorization')
        const list = authorization.replace(';host', '')
        await refused(withHeader(request, 'authorization', list), 'ERR_UNSIGNED_HEADER')
        const type = authorization.replace('content-type;', '')
        await refused(withHeader(request, 'authorization', type), 'ERR_UNSIGNED_HEADER')
        const control = authorization.replace('Credential=', 'Credential=\u0001')
        await refused(withHeader(request, 'authorization', control), 'ERR_MALFORMED_SIGNATURE')
        const presigned = { ...request, target: `${request.target}&X-Amz-Credential=a` }
        await refused(presigned, 'ERR_AMBIGUOUS_CREDENTIALS')
        const dated = { ...request, target: `${request.target}&X-Amz-Date=a` }
        await refused(dated, 'ERR_AMBIGUOUS_CREDENTIALS')
      }
    }
  })
})
