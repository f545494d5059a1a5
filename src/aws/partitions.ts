/** One AWS partition: accounts, regions and host names of their own. */
export interface Partition {
  /** As ARNs spell it. */
  readonly name: string
  readonly suffix: string
  readonly dualStackSuffix: string
  /** What names of its regions look like. */
  readonly regionForm: RegExp
  /** The regions that we know of; an option may name newer ones of the same form. */
  readonly regions: readonly string[]
}

/** As the AWS SDKs list them; a test compares the hosts that come of it with those of the SDK. */
export const partitions: readonly Partition[] = [
  {
    name: 'aws',
    suffix: 'amazonaws.com',
    dualStackSuffix: 'api.aws',
    regionForm: /^(us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-\d{1,2}$/,
    // biome-ignore format: one line a continent
    regions: [
      'us-east-1', 'us-east-2', 'us-west-1', 'us-west-2', 'ca-central-1', 'ca-west-1', 'mx-central-1', 'sa-east-1', 'sa-west-1',
      'eu-central-1', 'eu-central-2', 'eu-north-1', 'eu-south-1', 'eu-south-2', 'eu-west-1', 'eu-west-2', 'eu-west-3',
      'af-south-1', 'il-central-1', 'me-central-1', 'me-south-1', 'me-west-1',
      'ap-east-1', 'ap-east-2', 'ap-northeast-1', 'ap-northeast-2', 'ap-northeast-3', 'ap-south-1', 'ap-south-2',
      'ap-southeast-1', 'ap-southeast-2', 'ap-southeast-3', 'ap-southeast-4', 'ap-southeast-5', 'ap-southeast-6', 'ap-southeast-7',
    ],
  },
  {
    name: 'aws-cn',
    suffix: 'amazonaws.com.cn',
    dualStackSuffix: 'api.amazonwebservices.com.cn',
    regionForm: /^cn-[a-z]+-\d{1,2}$/,
    regions: ['cn-north-1', 'cn-northwest-1'],
  },
  {
    name: 'aws-us-gov',
    suffix: 'amazonaws.com',
    dualStackSuffix: 'api.aws',
    regionForm: /^us-gov-[a-z]+-\d{1,2}$/,
    regions: ['us-gov-east-1', 'us-gov-west-1'],
  },
  {
    name: 'aws-eusc',
    suffix: 'amazonaws.eu',
    dualStackSuffix: 'api.amazonwebservices.eu',
    regionForm: /^eusc-de-[a-z]+-\d{1,2}$/,
    regions: ['eusc-de-east-1'],
  },
  {
    name: 'aws-iso',
    suffix: 'c2s.ic.gov',
    dualStackSuffix: 'api.aws.ic.gov',
    regionForm: /^us-iso-[a-z]+-\d{1,2}$/,
    regions: ['us-iso-east-1', 'us-iso-west-1'],
  },
  {
    name: 'aws-iso-b',
    suffix: 'sc2s.sgov.gov',
    dualStackSuffix: 'api.aws.scloud',
    regionForm: /^us-isob-[a-z]+-\d{1,2}$/,
    regions: ['us-isob-east-1', 'us-isob-west-1'],
  },
  {
    name: 'aws-iso-e',
    suffix: 'cloud.adc-e.uk',
    dualStackSuffix: 'api.cloud-aws.adc-e.uk',
    regionForm: /^eu-isoe-[a-z]+-\d{1,2}$/,
    regions: ['eu-isoe-west-1'],
  },
  {
    name: 'aws-iso-f',
    suffix: 'csp.hci.ic.gov',
    dualStackSuffix: 'api.aws.hci.ic.gov',
    regionForm: /^us-isof-[a-z]+-\d{1,2}$/,
    regions: ['us-isof-east-1', 'us-isof-south-1'],
  },
]

/** The partition of a region, known to us or not, by the form of its name. */
export function partitionOf(region: string): Partition | undefined {
  return partitions.find(({ regionForm }) => regionForm.test(region))
}
