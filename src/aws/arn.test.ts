import { describe, expect, it } from 'vitest'
import { isArnPattern, matchesArn, parseCallerArn } from './arn.js'

const A = '111122223333'
const role = `arn:aws:iam::${A}:role/app`

describe('ARNs of callers', () => {
  it.each([
    [`arn:aws:iam::${A}:root`, 'root', undefined, 'root'],
    [`arn:aws:iam::${A}:user/ana`, 'user', undefined, 'ana'],
    [`arn:aws:iam::${A}:user/team/a/ana`, 'user', undefined, 'ana'],
    [`arn:aws:iam::${A}:user/ana@example.com`, 'user', undefined, 'ana@example.com'],
    [`arn:aws:iam::${A}:role/path/app`, 'role', undefined, 'app'],
    [`arn:aws:sts::${A}:assumed-role/app/session`, 'assumed-role', role, 'app'],
    [`arn:aws:sts::${A}:assumed-role/app/i-0123456789`, 'assumed-role', role, 'app'],
    [`arn:aws:sts::${A}:assumed-role/app/a@b.c,d=e+f_g-h`, 'assumed-role', role, 'app'],
    [`arn:aws:sts::${A}:federated-user/bob`, 'federated-user', undefined, 'bob'],
    [
      `arn:aws-us-gov:sts::${A}:assumed-role/app/s`,
      'assumed-role',
      `arn:aws-us-gov:iam::${A}:role/app`,
      'app',
    ],
    [
      `arn:aws-cn:sts::${A}:assumed-role/app/s`,
      'assumed-role',
      `arn:aws-cn:iam::${A}:role/app`,
      'app',
    ],
    [`arn:aws-cn:iam::${A}:user/ana`, 'user', undefined, 'ana'],
  ])('S36 reads %s', (arn, kind, principalArn, name) => {
    expect(parseCallerArn(arn)).toMatchObject({
      kind,
      arn,
      principalArn: principalArn ?? arn,
      name,
      accountId: A,
    })
  })

  it.each([
    '',
    'arn',
    'arn:aws:iam',
    `arn:aws:iam::${A}`,
    `arn:aws:iam::${A}:`,
    `arn:aws:iam::${A}:user`,
    `arn:aws:iam::${A}:user/`,
    `arn:aws:iam::${A}:user//ana`,
    `arn:aws:iam::${A}:user/ana/`,
    `arn:aws:iam::${A}:user/a:b`,
    `arn:aws:iam::${A}:user/a b`,
    `arn:aws:iam::${A}:user/ana\n`,
    `arn:aws:iam::${A}:root/x`,
    `arn:aws:iam::${A}:group/x`,
    `arn:aws:iam::${A}:assumed-role/app/s`,
    `arn:aws:iam:us-east-1:${A}:user/ana`,
    'arn:aws:iam::11112222333:user/ana',
    'arn:aws:iam::1111222233334:user/ana',
    'arn:aws:iam::11112222333x:user/ana',
    'arn:aws:iam::*:user/ana',
    `arn:evil:iam::${A}:user/ana`,
    `arn:AWS:iam::${A}:user/ana`,
    `ARN:aws:iam::${A}:user/ana`,
    ` arn:aws:iam::${A}:user/ana`,
    `arn:aws:s3::${A}:user/ana`,
    `arn:aws:sts::${A}:user/ana`,
    `arn:aws:sts::${A}:role/app`,
    `arn:aws:sts::${A}:assumed-role/app`,
    `arn:aws:sts::${A}:assumed-role/app/`,
    `arn:aws:sts::${A}:assumed-role//s`,
    `arn:aws:sts::${A}:assumed-role/app/s/t`,
    `arn:aws:sts::${A}:assumed-role/path/app/s`,
    `arn:aws:sts::${A}:assumed-role/app/a:b`,
    `arn:aws:sts::${A}:assumed-role/app/${'s'.repeat(65)}`,
    `arn:aws:sts::${A}:federated-user/bob/s`,
    `arn:aws:iam::${A}:user/${'p/'.repeat(300)}ana`,
    `arn:aws:iam::${A}:user/${'a'.repeat(3000)}`,
  ])('S36 does not read %j', (arn) => {
    expect(parseCallerArn(arn)).toBeUndefined()
  })

  const session = parseCallerArn(`arn:aws:sts::${A}:assumed-role/app/admin`)!
  it.each([
    [`arn:aws:sts::${A}:assumed-role/app/admin`, true],
    [`arn:aws:sts::${A}:assumed-role/app/*`, true],
    [`arn:aws:sts::${A}:assumed-role/a?p/adm*n`, true],
    [role, true],
    [`arn:aws:iam::${A}:role/a*`, true],
    [`arn:aws:iam::${A}:role/*p*`, true],
    [`arn:aws:iam::${A}:role/*`, true],
    [`arn:aws:iam::${A}:role/admin`, false],
    [`arn:aws:iam::${A}:role/ap`, false],
    [`arn:aws:iam::${A}:role/pp`, false],
    [`arn:aws:iam::${A}:role/app/*`, false],
    [`arn:aws:iam::${A}:role/app?`, false],
    [`arn:aws:iam::${A}:*`, false],
    [`arn:aws:sts::${A}:assumed-role/*`, false],
    [`arn:aws:sts::${A}:assumed-role/*/adm`, false],
    [`arn:aws:sts::${A}:assumed-role*admin`, false],
    [`arn:aws:sts::${A}:*admin`, false],
    [`arn:aws:sts::${A}:assumed-role/app?admin`, false],
    [`arn:aws:sts::${A}?assumed-role/app/admin`, false],
    ['arn:aws:iam::111122223334:role/app', false],
    [`arn:aws-cn:iam::${A}:role/app`, false],
  ])('S37 matches from end to end: %s', (pattern, expected) => {
    expect(matchesArn(pattern, session)).toBe(expected)
  })

  it.each([
    '*',
    'arn:aws:iam::*:role/app',
    'arn:*:iam::111122223333:role/app',
    'arn:aws:iam::11112222333?:role/app',
    'arn:aws:iam::111122223333*',
    'arn:aws:*::111122223333:role/app',
    'arn:aws:iam:*:111122223333:role/app',
    'arn:aws:iam::111122223333:',
    'role/app',
  ])('S37 takes no pattern that leaves the account open: %s', (pattern) => {
    expect(isArnPattern(pattern)).toBe(false)
  })

  // By going back at every star this would take longer than anybody waits.
  it('S37 matches many stars without going back over each', () => {
    const caller = parseCallerArn(`arn:aws:iam::${A}:user/${'a'.repeat(64)}`)!
    expect(matchesArn(`arn:aws:iam::${A}:user/${'a*'.repeat(60)}b`, caller)).toBe(false)
  })
})
