/** A token that is bound to a client certificate, over real TLS. */
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rawRequest } from '../../src/adapters/node/raw-request.js'
import { InboundVerifier, jwtBearer } from '../../src/inbound/index.js'
import { makeKey, signToken } from '../support/issuer.js'
import { findBinary } from './binaries.js'

const openssl = findBinary('openssl')
const key = makeKey()

interface Pair {
  readonly key: string
  readonly cert: string
}

function makePair(folder: string, name: string): Pair {
  const [keyFile, certFile] = [join(folder, `${name}.key`), join(folder, `${name}.crt`)]
  const args = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=${name}`
  execFileSync(openssl!, [...args.split(' '), '-keyout', keyFile, '-out', certFile], {
    stdio: 'ignore',
  })
  return { key: readFileSync(keyFile, 'utf8'), cert: readFileSync(certFile, 'utf8') }
}

const thumbprint = ({ cert }: Pair) =>
  Buffer.from(new X509Certificate(cert).fingerprint256.replaceAll(':', ''), 'hex').toString(
    'base64url',
  )

describe.skipIf(!openssl)('rawRequest over TLS', () => {
  const verifier = new InboundVerifier({
    authenticators: [
      jwtBearer({
        issuer: 'https://idp.example',
        jwks: { keys: [key.jwk] },
        allowedAudience: ['a'],
      }),
    ],
  })
  const folder = openssl ? mkdtempSync(join(tmpdir(), 'certificates-')) : ''
  let pairs: { server: Pair; holder: Pair; other: Pair }
  let server: ReturnType<typeof createServer>

  beforeAll(async () => {
    pairs = {
      server: makePair(folder, 'localhost'),
      holder: makePair(folder, 'holder'),
      other: makePair(folder, 'other'),
    }
    const options = { ...pairs.server, requestCert: true, rejectUnauthorized: false }
    server = createServer(options, async (message, response) => {
      const caller = await verifier.authenticate(rawRequest(message))
      response.writeHead(caller instanceof Response ? caller.status : 200).end()
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  })
  afterAll(() => {
    server.close()
    rmSync(folder, { recursive: true, force: true })
  })

  const call = (token: string, certificate?: Pair) =>
    new Promise<number | undefined>((resolve, reject) => {
      request(
        {
          host: '127.0.0.1',
          port: (server.address() as AddressInfo).port,
          ca: pairs.server.cert,
          servername: 'localhost',
          checkServerIdentity: () => undefined,
          agent: false,
          headers: { authorization: `Bearer ${token}` },
          ...certificate,
        },
        (response) => resolve(response.resume().statusCode),
      )
        .on('error', reject)
        .end()
    })

  it('J68 lets in who holds the certificate that the token is bound to, and nobody else', async () => {
    const claims = { iss: 'https://idp.example', sub: 'u', aud: 'a', exp: 9_999_999_999 }
    const bound = signToken(key, { ...claims, cnf: { 'x5t#S256': thumbprint(pairs.holder) } })
    expect(await call(bound, pairs.holder)).toBe(200)
    expect(await call(bound, pairs.other)).toBe(401)
    expect(await call(bound)).toBe(401)
    expect(await call(signToken(key, claims))).toBe(200)
  })
})
