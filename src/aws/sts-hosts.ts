import { printable } from '../errors/base.js'
import { type Partition, partitionOf, partitions } from './partitions.js'

/** Which of a region's endpoints. `global` is the one of us-east-1 without a region in its name. */
export type StsFlavour = 'regional' | 'global' | 'fips' | 'dual-stack' | 'fips-dual-stack'

/** One endpoint of AWS STS. */
export interface StsHost {
  readonly host: string
  /** The region that signatures for it name. */
  readonly region: string
  readonly flavour: StsFlavour
  /** The name of the partition. */
  readonly partition: string
}

/**
 * Every STS endpoint of `regions` by host name. What is no key of it is no endpoint: there is no pattern that a name
 * could slip through.
 *
 * @param regions Default: all that we know of, in all partitions.
 * @throws `TypeError` A region is no name of one.
 */
export function stsHosts(regions?: readonly string[]): ReadonlyMap<string, StsHost> {
  const hosts = new Map<string, StsHost>()
  for (const region of regions ?? partitions.flatMap((one) => one.regions)) {
    const partition = typeof region === 'string' ? partitionOf(region) : undefined
    if (!partition) {
      throw new TypeError(
        `regions takes names of AWS regions such as "eu-west-1"; got ${printable(region)}.`,
      )
    }
    for (const one of endpointsOf(partition, region)) hosts.set(one.host, one)
  }
  return hosts
}

/**
 * One endpoint.
 *
 * @throws `TypeError` The region is no name of one, or has no such endpoint.
 */
export function stsHost(region: string, flavour: StsFlavour = 'regional'): StsHost {
  const partition = partitionOf(region)
  const found = partition && endpointsOf(partition, region).find((one) => one.flavour === flavour)
  if (found) return found
  throw new TypeError(
    `There is no ${printable(flavour)} STS endpoint of region "${printable(region)}".`,
  )
}

function endpointsOf({ name, suffix, dualStackSuffix }: Partition, region: string): StsHost[] {
  const hosts: [StsFlavour, string][] = [
    ['regional', `sts.${region}.${suffix}`],
    ['dual-stack', `sts.${region}.${dualStackSuffix}`],
    ['fips-dual-stack', `sts-fips.${region}.${dualStackSuffix}`],
  ]
  // The regional endpoints of GovCloud are the FIPS ones.
  if (name !== 'aws-us-gov') hosts.push(['fips', `sts-fips.${region}.${suffix}`])
  if (region === 'us-east-1') hosts.push(['global', `sts.${suffix}`])
  return hosts.map(([flavour, host]) => ({ host, region, flavour, partition: name }))
}
