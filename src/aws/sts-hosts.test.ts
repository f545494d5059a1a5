import { STSClient } from '@aws-sdk/client-sts'
import { describe, expect, it } from 'vitest'
import { partitions } from './partitions.js'
import { type StsFlavour, stsHost, stsHosts } from './sts-hosts.js'

const hosts = stsHosts()

const good = [
  'sts.amazonaws.com',
  'sts.us-east-1.amazonaws.com',
  'sts.us-west-2.amazonaws.com',
  'sts.eu-west-1.amazonaws.com',
  'sts.eu-central-1.api.aws',
  'sts-fips.us-east-1.amazonaws.com',
  'sts-fips.us-east-2.api.aws',
  'sts.cn-north-1.amazonaws.com.cn',
  'sts.cn-northwest-1.api.amazonwebservices.com.cn',
  'sts.us-gov-west-1.amazonaws.com',
  'sts.us-gov-east-1.api.aws',
  'sts-fips.us-gov-west-1.api.aws',
  'sts.us-iso-east-1.c2s.ic.gov',
  'sts.us-isob-east-1.sc2s.sgov.gov',
  'sts.eusc-de-east-1.amazonaws.eu',
]

const bad = [
  '',
  'amazonaws.com',
  'sts',
  'sts.',
  'sts.com',
  'STS.amazonaws.com',
  'sts.amazonaws.com.',
  'sts.us-east-1.amazonaws.com.',
  '.sts.amazonaws.com',
  'sts.amazonaws.com:443',
  'sts.us-east-1.amazonaws.com:8443',
  'sts.amazonaws.com.evil',
  'sts.amazonaws.com.evil.example',
  'sts.us-east-1.amazonaws.com.evil.example',
  'evil.example',
  'evil-sts.amazonaws.com',
  'evilsts.us-east-1.amazonaws.com',
  'evil.sts.amazonaws.com',
  'sts.us-east-1.amazonaws.com@evil.example',
  'user@sts.us-east-1.amazonaws.com',
  'sts.us-east-1.amazonaws.com/evil',
  'sts.us-east-1.amazonaws.com?evil',
  'sts.us-east-1.amazonaws.com#evil',
  'sts.us-east-1.amazonaws.com\\evil.example',
  'sts.us-east-1.amazonaws.com%2eevil.example',
  'sts%2eus-east-1%2eamazonaws%2ecom',
  'sts.us-east-1.amazonaws.com%00.evil',
  'sts.us-east-1.amazonaws.com\u0000',
  'sts.us-east-1.amazonaws.com ',
  ' sts.us-east-1.amazonaws.com',
  'sts.us-east-1.amazonaws.com\r\nhost: evil',
  'sts.us-east-1.amazonaws。com',
  'ѕts.us-east-1.amazonaws.com',
  'sts.us-east-1.аmazonaws.com',
  'xn--ts-dmc.us-east-1.amazonaws.com',
  'sts.evil.amazonaws.com',
  'sts.evil-bucket-1.amazonaws.com',
  'sts.us-east-99.amazonaws.com',
  'sts.us-east-1.us-east-1.amazonaws.com',
  'sts.us-east-1.amazonaws.com.cn',
  'sts.cn-north-1.amazonaws.com',
  'sts.amazonaws.com.cn',
  'sts-fips.amazonaws.com',
  'sts-fips.us-gov-west-1.amazonaws.com',
  'sts.us-east-1.s3.amazonaws.com',
  's3.us-east-1.amazonaws.com',
  'iam.amazonaws.com',
  'sts.s3.amazonaws.com',
  'sts.us-east-1.elb.amazonaws.com',
  'sts.us-east-1.amazonaws.co',
  'sts.us-east-1.amazonaws.comm',
  'stsus-east-1.amazonaws.com',
  'sts..amazonaws.com',
  'sts.us_east_1.amazonaws.com',
  'sts.aws-global.amazonaws.com',
  '127.0.0.1',
  'localhost',
  '169.254.169.254',
  '[::1]',
  '0x7f000001',
  '__proto__',
  'constructor',
]

describe('STS hosts', () => {
  it.each(good)('S29 knows %j', (host) => {
    expect(hosts.get(host)?.host).toBe(host)
  })

  it.each(bad)('S29 does not know %j', (host) => {
    expect(hosts.get(host)).toBeUndefined()
  })

  it('S29 has the hosts that the SDK resolves, of every region that the SDK knows', () => {
    const client = new STSClient({ region: 'us-east-1' })
    const flavours: readonly (readonly [StsFlavour, boolean, boolean])[] = [
      ['regional', false, false],
      ['fips', true, false],
      ['dual-stack', false, true],
      ['fips-dual-stack', true, true],
    ]
    for (const { regions, name } of partitions) {
      for (const region of regions) {
        for (const [flavour, UseFIPS, UseDualStack] of flavours) {
          const parameters = { Region: region, UseFIPS, UseDualStack, UseGlobalEndpoint: false }
          const { url } = client.config.endpointProvider(parameters)
          const wanted = name === 'aws-us-gov' && flavour === 'fips' ? 'regional' : flavour
          expect(stsHost(region, wanted).host).toBe(url.hostname)
        }
      }
    }
  })

  it('S29 takes a region that is new by the form of its name, and nothing else', () => {
    expect([...stsHosts(['eu-west-9']).keys()]).toContain('sts.eu-west-9.amazonaws.com')
    expect(stsHosts(['eu-west-1']).has('sts.amazonaws.com')).toBe(false)
    for (const region of ['evil.example/', 'eu-west-1.evil', '', 'EU-WEST-1', 'us-east-1\n', 7]) {
      expect(() => stsHosts([region as string])).toThrow(TypeError)
    }
    expect(() => stsHost('eu-west-1', 'global')).toThrow(TypeError)
  })
})
