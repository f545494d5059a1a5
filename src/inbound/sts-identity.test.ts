import { inspect } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import { InboundVerifier } from '../../test/support/inbound-verifier.js'
import { codeOf, fakeClock } from '../../test/support/issuer.js'
import type { AuditEvent } from '../audit.js'
import { partitionOf } from '../aws/partitions.js'
import { type SignCallerIdentityOptions, signCallerIdentity } from '../aws/sign-caller-identity.js'
import { type FakeStsOptions, startFakeSts } from '../testing/fake-sts.js'
import { WorkloadIdentity } from '../workload/identity.js'
import type { RawRequest } from './authenticator.js'
import { stsIdentity } from './sts-identity.js'
import type { StsIdentityOptions } from './sts-identity-options.js'

const account = '111122223333'
const GOOD_REGION = 'ap-south-1'
const HEADER = 'X-Deputize-Iam-Request'
const USER = 'X-Amzn-Bedrock-AgentCore-Runtime-User-Id'

async function rig(changes: Partial<StsIdentityOptions> = {}, options: FakeStsOptions = {}) {
  const fake = await startFakeSts(options)
  onTestFinished(() => fake.close())
  const { caller, endpoint, fetch } = fake
  const sts = {
    caller,
    endpoint,
    fetch,
    misbehave: fake.misbehave,
    /** Without those of the good caller between two presentations of one that is refused. */
    get requests() {
      return fake.requests.filter(({ host }) => host !== `sts.${GOOD_REGION}.amazonaws.com`)
    },
  }
  const clock = fakeClock()
  const events: AuditEvent[] = []
  const sign = (more: Partial<SignCallerIdentityOptions> = {}) =>
    signCallerIdentity({ serverId: 'agent.example', credentials: sts.caller, clock, ...more })
  const requestOf = (headers: Readonly<Record<string, string>>): RawRequest => ({
    method: 'POST',
    target: '/',
    headers: Object.entries(headers),
  })
  const verifier = new InboundVerifier(
    {
      authenticators: [
        stsIdentity({
          serverId: 'agent.example',
          allowedAccounts: [account],
          fetch,
          ...changes,
        }),
      ],
      audit: (event) => events.push(event),
      clock,
    },
    async () => requestOf(await sign({ region: GOOD_REGION })),
  )
  const send = (headers: Readonly<Record<string, string>>) => verifier.verify(requestOf(headers))
  return { sts, clock, events, verifier, sign, send }
}

/** The headers inside a header form, changed and packed again. */
function repack(
  headers: Readonly<Record<string, string>>,
  change: (inner: Record<string, string>) => unknown,
) {
  const inner = JSON.parse(Buffer.from(headers[HEADER]!, 'base64url').toString())
  const next = change(inner) ?? inner
  const text = typeof next === 'string' ? next : JSON.stringify(next)
  return { ...headers, [HEADER]: Buffer.from(text).toString('base64url') }
}

/** The URL inside a presigned form, changed and packed again. */
function represign(headers: Readonly<Record<string, string>>, change: (url: string) => string) {
  const [, token = ''] = headers.Authorization!.split('deputize-aws-v1.')
  const url = change(Buffer.from(token, 'base64url').toString())
  const packed = Buffer.from(url).toString('base64url')
  return { ...headers, Authorization: `Bearer deputize-aws-v1.${packed}` }
}

const forms = ['header', 'presigned'] as const

describe('stsIdentity', () => {
  it.each(forms)('accepts what signCallerIdentity signs, in the %s form', async (form) => {
    const { sts, sign, send, clock } = await rig()
    const principal = await send(await sign({ form, region: 'eu-west-1' }))
    expect(principal).toMatchObject({
      method: 'sts',
      issuer: 'https://sts.amazonaws.com',
      subject: `arn:aws:iam::${account}:role/caller-role`,
      scopes: [],
      audience: ['agent.example'],
      iam: {
        accountId: account,
        arn: sts.caller.arn,
        principalArn: `arn:aws:iam::${account}:role/caller-role`,
        userId: sts.caller.userId,
      },
    })
    expect(principal.user).toBeUndefined()
    expect(principal.expiresAtMs).toBeGreaterThan(clock())
    expect(sts.requests[0]).toMatchObject({
      host: 'sts.eu-west-1.amazonaws.com',
      action: 'GetCallerIdentity',
    })
  })

  it.each([
    ['eu-west-1', 'dual-stack', 'sts.eu-west-1.api.aws', 'aws'],
    ['us-east-1', 'global', 'sts.amazonaws.com', 'aws'],
    ['us-west-2', 'fips', 'sts-fips.us-west-2.amazonaws.com', 'aws'],
    ['us-west-2', 'fips-dual-stack', 'sts-fips.us-west-2.api.aws', 'aws'],
    ['us-gov-west-1', 'regional', 'sts.us-gov-west-1.amazonaws.com', 'aws-us-gov'],
    ['cn-north-1', 'regional', 'sts.cn-north-1.amazonaws.com.cn', 'aws-cn'],
  ] as const)('S29 asks the endpoint of %s, %s', async (region, endpoint, host, partition) => {
    const caller = {
      accessKeyId: 'AKIDEXAMPLE',
      secretAccessKey: 'secret',
      arn: `arn:${partition}:iam::${account}:user/ana`,
      userId: 'AIDAEXAMPLE',
    }
    const { sts, sign, send } = await rig({ partition }, { callers: [caller] })
    for (const form of forms) {
      expect((await send(await sign({ form, region, endpoint }))).iam?.arn).toBe(caller.arn)
    }
    expect(sts.requests.map((request) => request.host)).toEqual([host, host])
  })

  it.each<[string | undefined, readonly string[] | undefined, string, boolean]>([
    [undefined, undefined, 'us-east-1', true],
    [undefined, undefined, 'cn-north-1', false],
    [undefined, undefined, 'us-gov-west-1', false],
    ['aws-cn', undefined, 'cn-north-1', true],
    ['aws-cn', undefined, 'us-east-1', false],
    [undefined, ['cn-north-1', 'cn-northwest-1'], 'cn-north-1', true],
    [undefined, ['us-east-1', 'cn-north-1'], 'cn-north-1', false],
    [undefined, ['us-east-1', 'cn-north-1'], 'us-east-1', true],
    ['aws-cn', ['us-east-1', 'cn-north-1'], 'cn-north-1', true],
  ])(
    'S35 allows an account in partition %s, regions %j: from %s: %s',
    async (partition, regions, region, allowed) => {
      const caller = {
        accessKeyId: 'AKIDEXAMPLE',
        secretAccessKey: 'secret',
        arn: `arn:${partitionOf(region)!.name}:iam::${account}:role/app`,
        userId: 'AROAEXAMPLE',
      }
      for (const more of [{}, { allowedRoles: ['app'] }]) {
        const { sign, send } = await rig({ partition, regions, ...more }, { callers: [caller] })
        const code = await codeOf(send(await sign({ region })))
        expect(code).toBe(allowed ? undefined : 'ERR_CLIENT_NOT_ALLOWED')
      }
    },
  )

  it.each([
    ['evil.example'],
    ['sts.amazonaws.com.evil.example'],
    ['sts.us-east-1.amazonaws.com@evil.example'],
    ['sts.us-east-1.amazonaws.com:444'],
    ['127.0.0.1'],
  ])('S29 goes to no host of the caller: %s', async (host) => {
    const { sts, sign, send } = await rig()
    const headers = repack(await sign(), (inner) => {
      inner.host = host
    })
    expect(await codeOf(send(headers))).toBe('ERR_UNKNOWN_ISSUER')
    const url = represign(await sign({ form: 'presigned' }), (one) =>
      one.replace('sts.us-east-1.amazonaws.com', host),
    )
    expect(await codeOf(send(url))).toMatch(/^ERR_(UNKNOWN_ISSUER|MALFORMED_TOKEN)$/)
    expect(sts.requests).toEqual([])
  })

  it('S29 goes to allowed regions only', async () => {
    const { sign, send } = await rig({ regions: ['eu-west-1'] })
    expect((await send(await sign({ region: 'eu-west-1' }))).method).toBe('sts')
    expect(await codeOf(send(await sign({ region: 'eu-west-2' })))).toBe('ERR_UNKNOWN_ISSUER')
  })

  it.each<[string, (url: string) => string]>([
    ['another action', (url) => url.replace('GetCallerIdentity', 'GetSessionToken')],
    ['no action', (url) => url.replace('Action=GetCallerIdentity&', '')],
    ['two actions', (url) => `${url}&Action=GetCallerIdentity`],
    ['two actions in another case', (url) => `${url}&action=AssumeRole`],
    ['another version', (url) => url.replace('2011-06-15', '2011-06-16')],
    ['no version', (url) => url.replace('Version=2011-06-15&', '')],
    ['a foreign parameter', (url) => `${url}&RoleArn=x`],
    ['a second signed-headers', (url) => `${url}&X-Amz-SignedHeaders=host`],
    ['a second credential in another case', (url) => `${url}&x-amz-credential=eve`],
    ['lower-case hexadecimal', (url) => url.replace(/%2F/, '%2f')],
    ['a plus', (url) => url.replace('%2F', '+')],
    ['a path', (url) => url.replace('/?', '/x?')],
    ['two slashes', (url) => url.replace('/?', '//?')],
    ['a fragment', (url) => url.replace('/?', '/#?')],
    ['user info', (url) => url.replace('https://', 'https://a@')],
    ['http', (url) => url.replace('https:', 'http:')],
    ['another algorithm', (url) => url.replace('AWS4-HMAC-SHA256', 'AWS4-ECDSA-P256-SHA256')],
    ['another service', (url) => url.replace('%2Fsts%2F', '%2Fs3%2F')],
    ['another region', (url) => url.replace('us-east-1%2Fsts', 'us-east-2%2Fsts')],
    ['a day that is not the date', (url) => url.replace(/%2F\d{8}%2F/, '%2F20000101%2F')],
    ['expires 0', (url) => url.replace('Expires=300', 'Expires=0')],
    ['expires 901', (url) => url.replace('Expires=300', 'Expires=901')],
    ['expires -1', (url) => url.replace('Expires=300', 'Expires=-1')],
    ['expires 1e2', (url) => url.replace('Expires=300', 'Expires=1e2')],
    ['expires +60', (url) => url.replace('Expires=300', 'Expires=%2B60')],
    ['no expiry', (url) => url.replace('&X-Amz-Expires=300', '')],
    ['a bad escape', (url) => url.replace('%2F', '%FF')],
    ['a short signature', (url) => url.slice(0, -1)],
    ['an upper-case signature', (url) => url.replace(/[0-9a-f]{64}$/, (s) => s.toUpperCase())],
    ['nothing', () => ''],
    ['a line break', (url) => `${url}\r\nx`],
  ])('S30 refuses a presigned URL with %s, and asks nobody', async (_, change) => {
    const { sts, sign, send } = await rig()
    const headers = represign(await sign({ form: 'presigned' }), change)
    expect(await codeOf(send(headers))).toBe('ERR_MALFORMED_TOKEN')
    expect(sts.requests).toEqual([])
  })

  it('S30 sends the one body, whatever the caller signed', async () => {
    const { sts, sign, send } = await rig()
    await send(await sign())
    expect(sts.requests[0]?.parameters).toEqual({
      Action: 'GetCallerIdentity',
      Version: '2011-06-15',
    })
  })

  it('S31 forwards no foreign header, and asks for JSON', async () => {
    const { sts, sign, send } = await rig()
    const headers = repack(await sign(), (inner) => {
      Object.assign(inner, {
        Accept: 'text/html',
        Expect: '100-continue',
        Cookie: 'a=b',
        'X-Forwarded-Host': 'evil.example',
        'User-Agent': 'evil',
        'Transfer-Encoding': 'chunked',
      })
    })
    await send({ ...headers, 'X-Forwarded-For': '1.2.3.4' })
    const seen = sts.requests[0]!.headers
    expect(seen.accept).toBe('application/json')
    for (const name of ['expect', 'cookie', 'x-forwarded-host', 'x-forwarded-for']) {
      expect(seen[name]).toBeUndefined()
    }
    expect(seen['user-agent']).not.toBe('evil')
    expect(
      Object.keys(seen)
        .filter((name) => name.startsWith('x-'))
        .sort(),
    ).toEqual([
      'x-amz-content-sha256',
      'x-amz-date',
      'x-amz-security-token',
      'x-deputize-server-id',
    ])
  })

  it.each<[string, (inner: Record<string, string>) => unknown]>([
    ['X-Amz-Target', (inner) => ({ ...inner, 'x-amz-target': 'x' })],
    [
      'a signed foreign header',
      (inner) => ({
        ...inner,
        authorization: inner.authorization!.replace('host;', 'expect;host;'),
        expect: 'x',
      }),
    ],
    ['another content type', (inner) => ({ ...inner, 'content-type': 'application/json' })],
    ['another body hash', (inner) => ({ ...inner, 'x-amz-content-sha256': '0'.repeat(64) })],
    ['an unsigned payload', (inner) => ({ ...inner, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' })],
    ['another length', (inner) => ({ ...inner, 'content-length': '44' })],
    ['a header twice', (inner) => ({ ...inner, Authorization: inner.authorization })],
    ['a line break', (inner) => ({ ...inner, accept: 'a\r\nb: c' })],
    ['a value that is no text', (inner) => ({ ...inner, accept: 1 })],
    ['a list', (inner) => [inner]],
    ['a duplicate key', (inner) => JSON.stringify(inner).replace('{', '{"host":"x",')],
    ['a name that is none', (inner) => ({ ...inner, 'a b': 'c' })],
    ['__proto__', (inner) => JSON.stringify(inner).replace('{', '{"__proto__":{},')],
    ['no authorization', ({ authorization: _, ...inner }) => inner],
    ['no date', ({ 'x-amz-date': _, ...inner }) => inner],
    [
      'two signatures',
      (inner) => ({ ...inner, authorization: `${inner.authorization}, ${inner.authorization}` }),
    ],
    [
      'unsorted signed headers',
      (inner) => ({
        ...inner,
        authorization: inner.authorization!.replace('content-type;host', 'host;content-type'),
      }),
    ],
    [
      'an unsigned host',
      (inner) => ({ ...inner, authorization: inner.authorization!.replace('host;', '') }),
    ],
    [
      'an unsigned session token',
      (inner) => ({
        ...inner,
        authorization: inner.authorization!.replace('x-amz-security-token;', ''),
      }),
    ],
    [
      'an unsigned date',
      (inner) => ({ ...inner, authorization: inner.authorization!.replace('x-amz-date;', '') }),
    ],
    ['SigV2', (inner) => ({ ...inner, authorization: 'AWS AKID:sig' })],
    [
      'SigV4A',
      (inner) => ({
        ...inner,
        authorization: inner.authorization!.replace('HMAC-SHA256', 'ECDSA-P256-SHA256'),
      }),
    ],
    ['another day', (inner) => ({ ...inner, 'x-amz-date': '20000101T000000Z' })],
    [
      'a day that does not exist',
      (inner) => ({ ...inner, 'x-amz-date': inner['x-amz-date']!.replace(/T.*/, 'T250000Z') }),
    ],
  ])('S31 refuses a header form with %s', async (_, change) => {
    const { sts, sign, send } = await rig()
    expect(await codeOf(send(repack(await sign(), change)))).toBe('ERR_MALFORMED_TOKEN')
    expect(sts.requests).toEqual([])
  })

  const result = { Account: account, Arn: `arn:aws:iam::${account}:user/eve`, UserId: 'AIDAEVE' }
  const answer = (changes: object = {}) => ({
    GetCallerIdentityResponse: { GetCallerIdentityResult: { ...result, ...changes } },
  })
  const text = (body: string, type = 'application/json') =>
    new Response(body, { headers: { 'content-type': type } })
  it.each<[string, () => Response]>([
    ['XML with the answer', () => text(`<Arn>${result.Arn}</Arn>`, 'text/xml')],
    ['JSON of another type', () => text(JSON.stringify(answer()), 'text/plain')],
    ['JSON without a type', () => new Response(new TextEncoder().encode(JSON.stringify(answer())))],
    ['HTML', () => text('<html>', 'text/html')],
    ['junk before the JSON', () => text(`x${JSON.stringify(answer())}`)],
    ['two documents', () => text(JSON.stringify(answer()).repeat(2))],
    [
      'duplicate keys',
      () => text(JSON.stringify(answer()).replace('{"Account', '{"Arn":"x","Account')),
    ],
    ['a byte order mark', () => text(`\ufeff${JSON.stringify(answer())}`)],
    ['nothing', () => text('')],
    ['null', () => text('null')],
    ['no Account', () => Response.json(answer({ Account: undefined }))],
    ['no UserId', () => Response.json(answer({ UserId: undefined }))],
    ['a number as Account', () => Response.json(answer({ Account: 111122223333 }))],
    ['a list as Arn', () => Response.json(answer({ Arn: [result.Arn] }))],
    [
      'an ARN of another account',
      () => Response.json(answer({ Arn: 'arn:aws:iam::999999999999:user/eve' })),
    ],
    [
      'an ARN of another partition',
      () => Response.json(answer({ Arn: `arn:aws-cn:iam::${account}:user/eve` })),
    ],
    ['an ARN that is none', () => Response.json(answer({ Arn: 'eve' }))],
    ['one member more', () => Response.json({ ...answer(), Error: {} })],
    ['one field more', () => Response.json(answer({ Note: 'x' }))],
    ['the reflected request', () => Response.json({ GetCallerIdentityResult: result })],
    ['an answer that is too large', () => text(JSON.stringify(answer()) + ' '.repeat(65_536))],
  ])('S32 takes no answer of STS that is %s', async (_, make) => {
    const { sts, sign, send } = await rig()
    sts.misbehave(make)
    const error = await send(await sign()).catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'ERR_STS_UNAVAILABLE', status: 503, retryable: true })
  })

  it.each([301, 302, 303, 307, 308])('S33 follows no redirect: %i', async (status) => {
    const { sts, sign, send } = await rig()
    const location = `${sts.endpoint}/elsewhere`
    sts.misbehave(() => new Response(null, { status, headers: { location } }))
    expect(await codeOf(send(await sign()))).toBe('ERR_STS_UNAVAILABLE')
    expect(sts.requests).toHaveLength(1)
  })

  it.each<[number, object, string, number]>([
    [403, { Error: { Code: 'SignatureDoesNotMatch' } }, 'ERR_BAD_SIGNATURE', 1],
    [403, { Error: { Code: 'InvalidClientTokenId' } }, 'ERR_BAD_SIGNATURE', 1],
    [400, { Error: { Code: 'ExpiredToken' } }, 'ERR_BAD_SIGNATURE', 1],
    [400, { Error: { Code: 'Throttling' } }, 'ERR_STS_UNAVAILABLE', 1],
    [404, {}, 'ERR_STS_UNAVAILABLE', 1],
    [429, {}, 'ERR_STS_UNAVAILABLE', 1],
    [500, {}, 'ERR_STS_UNAVAILABLE', 2],
    [503, {}, 'ERR_STS_UNAVAILABLE', 2],
  ])('S34 HTTP %i %j is %s, after %i calls', async (status, body, code, calls) => {
    const { sts, sign, send } = await rig()
    sts.misbehave(() => Response.json(body, { status }))
    expect(await codeOf(send(await sign()))).toBe(code)
    expect(sts.requests).toHaveLength(calls)
  })

  it('S34 remembers no failure of STS, and recovers', async () => {
    const { sts, sign, send } = await rig()
    const headers = await sign()
    sts.misbehave(() => new Response(null, { status: 500 }))
    expect(await codeOf(send(headers))).toBe('ERR_STS_UNAVAILABLE')
    let calls = 0
    sts.misbehave(() => {
      calls++
      return calls === 1 ? new Response(null, { status: 502 }) : Response.json(answer())
    })
    expect((await send(headers)).subject).toBe(result.Arn)
  })

  it('S34 answers 503 with Retry-After', async () => {
    const { sts, sign, verifier } = await rig()
    sts.misbehave(() => new Response(null, { status: 429 }))
    const request = new Request('https://agent.example/', { headers: await sign() })
    const response = (await verifier.authenticate(request)) as Response
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '5'])
  })

  it.each([
    'other.example',
    'agent.example.evil',
    'gent.example',
    'agent.examplex',
    'AGENT.EXAMPLE',
  ])('S35 refuses what is signed for %j', async (serverId) => {
    const { sign, send } = await rig()
    expect(await codeOf(send(await sign({ serverId })))).toBe('ERR_AUDIENCE_MISMATCH')
    expect(await codeOf(send(await sign({ serverId, form: 'presigned' })))).toBe(
      'ERR_BAD_SIGNATURE',
    )
  })

  it('S35 refuses a server id that is not signed, or under another name', async () => {
    const { sts, sign, send } = await rig()
    const unsigned = repack(await sign(), (inner) => {
      inner.authorization = inner.authorization!.replace(';x-deputize-server-id', '')
    })
    expect(await codeOf(send(unsigned))).toBe('ERR_AUDIENCE_MISMATCH')
    const missing = repack(await sign(), (inner) => {
      delete inner['x-deputize-server-id']
    })
    expect(await codeOf(send(missing))).toBe('ERR_AUDIENCE_MISMATCH')
    const part = repack(await sign(), (inner) => {
      inner.authorization = inner.authorization!.replace(
        ';x-deputize-server-id',
        ';x-deputize-server-i;x-deputize-server-idd',
      )
    })
    expect(await codeOf(send(part))).toBe('ERR_AUDIENCE_MISMATCH')
    const url = represign(await sign({ form: 'presigned' }), (one) =>
      one.replace('%3Bx-deputize-server-id', ''),
    )
    expect(await codeOf(send(url))).toBe('ERR_AUDIENCE_MISMATCH')
    for (const form of forms) {
      const other = await sign({ serverIdHeader: 'X-Vault-AWS-IAM-Server-ID', form })
      expect(await codeOf(send(other))).toBe('ERR_AUDIENCE_MISMATCH')
    }
    expect(sts.requests).toEqual([])
  })

  it('S35 takes a server id header of another name', async () => {
    const { sign, send } = await rig({ serverIdHeader: 'X-My-Server' })
    for (const form of forms) {
      expect((await send(await sign({ form, serverIdHeader: 'X-My-Server' }))).method).toBe('sts')
    }
  })

  it.each<[string, Partial<StsIdentityOptions>, boolean]>([
    ['its account', { allowedAccounts: [account] }, true],
    ['another account', { allowedAccounts: ['999999999999'] }, false],
    [
      'its role',
      { allowedAccounts: undefined, allowedRoles: [`arn:aws:iam::${account}:role/caller-role`] },
      true,
    ],
    [
      'its role with a path',
      {
        allowedAccounts: undefined,
        allowedRoles: [`arn:aws:iam::${account}:role/team/caller-role`],
      },
      true,
    ],
    [
      'the same role elsewhere',
      { allowedAccounts: undefined, allowedRoles: ['arn:aws:iam::999999999999:role/caller-role'] },
      false,
    ],
    [
      'the same role in another partition',
      { allowedAccounts: undefined, allowedRoles: [`arn:aws-cn:iam::${account}:role/caller-role`] },
      false,
    ],
    ['its name and account', { allowedRoles: ['caller-role'] }, true],
    [
      'its name and another account',
      { allowedRoles: ['caller-role'], allowedAccounts: ['999999999999'] },
      false,
    ],
    ['its session as a role', { allowedRoles: ['session-1'] }, false],
    ['a prefix of its name', { allowedRoles: ['caller'] }, false],
    [
      'its ARN',
      { allowedArns: [`arn:aws:sts::${account}:assumed-role/caller-role/session-1`] },
      true,
    ],
    ['a pattern', { allowedArns: [`arn:aws:iam::${account}:role/caller-*`] }, true],
    [
      'a pattern that is not anchored',
      { allowedArns: [`arn:aws:iam::${account}:role/caller`] },
      false,
    ],
    ['its unique id', { allowedUniqueIds: ['AROAEXAMPLEID0001'] }, true],
    ['another unique id', { allowedUniqueIds: ['AROAEXAMPLEID0002'] }, false],
  ])('S37 S38 allows by %s: %j', async (_, changes, allowed) => {
    const { sign, send } = await rig(changes)
    const sent = send(await sign())
    if (allowed) expect((await sent).method).toBe('sts')
    else expect(await codeOf(sent)).toBe('ERR_CLIENT_NOT_ALLOWED')
  })

  it('S37 judges what it remembers like what it heard', async () => {
    const { sts, sign, send } = await rig({ allowedAccounts: ['999999999999'] })
    const headers = await sign()
    for (let round = 0; round < 3; round++) {
      expect(await codeOf(send(headers))).toBe('ERR_CLIENT_NOT_ALLOWED')
    }
    expect(sts.requests).toHaveLength(1)
  })

  it('S36 a user, a federated user and root do not pass for a role', async () => {
    for (const resource of [
      'iam::%:user/caller-role',
      'sts::%:federated-user/caller-role',
      'iam::%:root',
    ]) {
      const arn = `arn:aws:${resource.replace('%', account)}`
      const caller = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 's', arn, userId: 'AIDA' }
      const { sign, send } = await rig({ allowedRoles: ['caller-role'] }, { callers: [caller] })
      expect(await codeOf(send(await sign()))).toBe('ERR_CLIENT_NOT_ALLOWED')
    }
  })

  it.each(forms)('S39 says nothing of the %s form in errors and events', async (form) => {
    const { sts, sign, send, events } = await rig()
    const headers = await sign({ form, userId: 'ana' })
    const secrets = [
      sts.caller.secretAccessKey,
      sts.caller.sessionToken!,
      encodeURIComponent(sts.caller.sessionToken!),
      headers[HEADER] ?? headers.Authorization!,
    ]
    const shown: unknown[] = [await send(await sign({ form }))]
    for (const make of [
      () => Response.json({ Error: { Code: 'x', Message: secrets[1] } }, { status: 403 }),
      () => new Response(secrets[1], { status: 500 }),
      () => new Response(null, { status: 302, headers: { location: `https://x/${secrets[1]}` } }),
    ]) {
      const fresh = await rig()
      fresh.sts.misbehave(make)
      shown.push(await fresh.send(await sign({ form })).catch((e: unknown) => e), ...fresh.events)
    }
    shown.push(...events)
    for (const one of shown) {
      const all = `${inspect(one, { depth: 9 })}${JSON.stringify(one)}${(one as Error).stack}`
      for (const secret of secrets) expect(all).not.toContain(secret)
      expect(all).not.toMatch(/Signature=|X-Amz-/)
    }
  })

  it('S40 looks at no header and no token that is too long', async () => {
    const { sts, send } = await rig()
    expect(await codeOf(send({ [HEADER]: 'A'.repeat(16_385) }))).toBe('ERR_TOKEN_TOO_LARGE')
    const token = `Bearer deputize-aws-v1.${'A'.repeat(8_192)}`
    expect(await codeOf(send({ Authorization: token }))).toBe('ERR_TOKEN_TOO_LARGE')
    expect(sts.requests).toEqual([])
  })

  it('S41 asks once for a thousand requests with the same signature', async () => {
    const { sts, sign, send, clock } = await rig()
    const headers = await sign()
    await Promise.all(Array.from({ length: 1000 }, () => send(headers)))
    expect(sts.requests).toHaveLength(1)
    clock.advance(59_000)
    await send(headers)
    expect(sts.requests).toHaveLength(1)
    clock.advance(1_000)
    await send(headers)
    expect(sts.requests).toHaveLength(2)
  })

  it('S41 remembers a refusal', async () => {
    const { sts, sign, send } = await rig()
    const headers = repack(await sign(), (inner) => {
      inner.authorization = inner.authorization!.replace(/[0-9a-f]{64}$/, '0'.repeat(64))
    })
    for (let round = 0; round < 5; round++) {
      expect(await codeOf(send(headers))).toBe('ERR_BAD_SIGNATURE')
    }
    expect(sts.requests).toHaveLength(1)
  })

  it('S41 a flood of 1,000 made-up signatures makes at most 120 calls, and known callers go on', async () => {
    const { sts, sign, send, clock } = await rig()
    const good = await sign()
    await send(good)
    const flood = await Promise.all(
      Array.from({ length: 1000 }, (_, n) =>
        codeOf(
          send(
            repack(good, (inner) => {
              inner.authorization = inner
                .authorization!.replace(/[0-9a-f]{64}$/, n.toString(16).padStart(64, '0'))
                .replace(sts.caller.accessKeyId, `AKID${n}`)
            }),
          ),
        ),
      ),
    )
    expect(new Set(flood)).toEqual(new Set(['ERR_BAD_SIGNATURE', 'ERR_STS_UNAVAILABLE']))
    expect(sts.requests.length).toBeLessThanOrEqual(120)
    expect((await send(good)).method).toBe('sts')
    clock.advance(1000)
    expect((await send(await sign())).method).toBe('sts')
  })

  it('S41 a flood of 1,000 in the name of one known key is bounded too', async () => {
    const { sts, sign, send } = await rig()
    const good = await sign()
    await send(good)
    await Promise.all(
      Array.from({ length: 1000 }, (_, n) =>
        codeOf(
          send(
            repack(good, (inner) => {
              inner.authorization = inner.authorization!.replace(
                /[0-9a-f]{64}$/,
                n.toString(16).padStart(64, '0'),
              )
            }),
          ),
        ),
      ),
    )
    expect(sts.requests.length).toBeLessThanOrEqual(1 + 64)
  })

  it('S41 what others sign with the key id of a caller does not use up its allowance', async () => {
    const caller = {
      accessKeyId: 'AKIAVICTIM0000000000',
      secretAccessKey: 'secret',
      arn: `arn:aws:iam::${account}:user/victim`,
      userId: 'AIDAVICTIM',
    }
    const { sts, sign, send, clock } = await rig({}, { callers: [caller] })
    const good = await sign()
    await send(good)
    const made = (n: number) =>
      repack(good, (inner) => {
        const signature = n.toString(16).padStart(64, '0')
        inner.authorization = inner.authorization!.replace(/[0-9a-f]{64}$/, signature)
      })
    for (let n = 0; n < 25; n++) expect(await codeOf(send(made(n)))).toBe('ERR_BAD_SIGNATURE')
    clock.advance(1)
    expect((await send(await sign({ region: 'eu-west-1' }))).method).toBe('sts')

    // Nor while STS has not answered yet.
    let answer = () => {}
    const later = new Promise<void>((resolve) => {
      answer = resolve
    })
    sts.misbehave(async () => {
      await later
      return new Response('{}', { status: 403 })
    })
    const waiting = Array.from({ length: 25 }, (_, n) => codeOf(send(made(1_000 + n))))
    while (sts.requests.length < 1 + 25 + 1 + 25) await new Promise((done) => setImmediate(done))
    sts.misbehave(undefined)
    expect((await send(await sign({ region: 'eu-west-2' }))).method).toBe('sts')
    answer()
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['ERR_BAD_SIGNATURE']))
  })

  it('S41 asks anew after a clock that was set back', async () => {
    const { sts, sign, send, clock } = await rig()
    const headers = await sign()
    const refused = repack(headers, (inner) => {
      inner.authorization = inner.authorization!.replace(/[0-9a-f]{64}$/, '0'.repeat(64))
    })
    const ask = async () => [(await send(headers)).method, await codeOf(send(refused))]
    await ask()
    clock.advance(-14 * 60_000)
    for (const requests of [4, 4, 6, 6, 8]) {
      expect(await ask()).toEqual(['sts', 'ERR_BAD_SIGNATURE'])
      expect(sts.requests).toHaveLength(requests)
      clock.advance(30_000)
    }
  })

  it.each(forms)('S17 S18 judges the time of the %s form', async (form) => {
    const { sign, send, clock } = await rig()
    const headers = await sign({ form })
    const lifeMs = form === 'header' ? 900_000 : 300_000
    clock.advance(lifeMs - 1_000)
    expect((await send(headers)).method).toBe('sts')
    clock.advance(2_000)
    expect(await codeOf(send(headers))).toBe('ERR_TOKEN_EXPIRED')
    clock.advance(-lifeMs - 1_000 - 900_000)
    expect((await send(headers)).method).toBe('sts')
    clock.advance(-1_000)
    expect(await codeOf(send(headers))).toBe('ERR_TOKEN_NOT_YET_VALID')
  })

  it('keeps to a maxAgeMs of its own', async () => {
    const { sign, send, clock } = await rig({ maxAgeMs: 60_000 })
    const headers = await sign()
    clock.advance(61_000)
    expect(await codeOf(send(headers))).toBe('ERR_TOKEN_EXPIRED')
  })

  it.each(forms)(
    'S09 honours a signed user that the caller may act for, in the %s form',
    async (form) => {
      const { sign, send } = await rig({
        mayActForUser: (caller, id) => caller.iam?.accountId === account && id === 'ana',
      })
      const principal = await send(await sign({ form, userId: 'ana' }))
      expect(principal.user).toEqual({
        issuer: `arn:aws:iam::${account}:role/caller-role`,
        subject: 'ana',
      })
      const agent = new WorkloadIdentity({ name: 'agent' })
      expect(agent.actFor(principal).userKnown).toBe('asserted')
      expect(await codeOf(send(await sign({ form, userId: 'bob' })))).toBe('ERR_USER_NOT_ALLOWED')
      expect(await codeOf(send({ ...(await sign({ form })), [USER]: 'ana' }))).toBe(
        'ERR_UNSIGNED_HEADER',
      )
      expect(await codeOf(send({ ...(await sign({ form, userId: 'bob' })), [USER]: 'ana' }))).toBe(
        'ERR_BAD_SIGNATURE',
      )
      const { [USER]: _, ...without } = await sign({ form, userId: 'ana' })
      expect(await codeOf(send(without))).toBe('ERR_MALFORMED_TOKEN')
    },
  )

  it.each(forms)(
    'S09 takes no other user for the one whom the same signature covers, in the %s form',
    async (form) => {
      const { sign, send } = await rig({ mayActForUser: () => true })
      const headers = await sign({ form, userId: 'ana maria' })
      for (const name of ['ana  maria', 'ana   maria', 'ana\tmaria', ' ana maria', 'ana maria ']) {
        const other = send({ ...headers, [USER]: name })
        const user = await other.then(
          (caller) => caller.user?.subject,
          () => undefined,
        )
        expect([undefined, 'ana maria']).toContain(user)
      }
      expect((await send(headers)).user?.subject).toBe('ana maria')
    },
  )

  it('S09 refuses a caller that names a user where nothing decides on it', async () => {
    const { sign, send } = await rig()
    expect(await codeOf(send(await sign({ userId: 'ana' })))).toBe('ERR_USER_NOT_ALLOWED')
    expect(await codeOf(send({ ...(await sign()), [USER]: 'ana' }))).toBe('ERR_UNSIGNED_HEADER')
    expect((await send(await sign())).user).toBeUndefined()
  })

  it('refuses two credentials, and a header that is there twice', async () => {
    const { sign, send, verifier } = await rig()
    const both = { ...(await sign()), ...(await sign({ form: 'presigned' })) }
    expect(await codeOf(send(both))).toBe('ERR_AMBIGUOUS_CREDENTIALS')
    const [pair] = Object.entries(await sign())
    const twice = { method: 'GET', target: '/', headers: [pair!, pair!] }
    expect(await codeOf(verifier.verify(twice))).toBe('ERR_AMBIGUOUS_CREDENTIALS')
    expect(await codeOf(send({}))).toBe('ERR_NO_CREDENTIALS')
  })

  it.each<[string, object]>([
    ['no list', { allowedAccounts: undefined }],
    ['an empty list', { allowedAccounts: [] }],
    ['an account that is none', { allowedAccounts: ['1234'] }],
    ['a partition that is none', { partition: 'aws-mars' }],
    [
      'a partition of no accounts',
      {
        allowedAccounts: undefined,
        allowedRoles: [`arn:aws:iam::${account}:role/a`],
        partition: 'aws',
      },
    ],
    ['a role name without accounts', { allowedAccounts: undefined, allowedRoles: ['app'] }],
    ['a session as a role', { allowedRoles: [`arn:aws:sts::${account}:assumed-role/a/b`] }],
    ['an open pattern', { allowedArns: ['arn:aws:iam::*:role/app'] }],
    ['a misspelled option', { allowedAccount: [account] }],
    ['no server id', { serverId: undefined }],
    ['an empty server id', { serverId: '' }],
    ['a server id with a line break', { serverId: 'a\nb' }],
    ['a header that is taken', { serverIdHeader: 'Authorization' }],
    ['an x-amz header', { serverIdHeader: 'X-Amz-Date' }],
    ['one header for both', { serverIdHeader: USER }],
    ['a region that is none', { regions: ['evil.example'] }],
    ['a maxAgeMs beyond', { maxAgeMs: 900_001 }],
    ['a fetch that is none', { fetch: 'x' }],
  ])('S35 refuses options with %s', (_, changes) => {
    const options = { serverId: 's', allowedAccounts: [account], ...changes }
    expect(() => stsIdentity(options as StsIdentityOptions)).toThrow(TypeError)
  })
})
