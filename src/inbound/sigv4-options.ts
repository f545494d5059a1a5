import { MINUTE_MS } from '../clock.js'
import { printable } from '../errors/base.js'
import { checkOptionNames, type KnownOptions } from '../option-names.js'
import type { Secret } from '../secret.js'
import type { PathStyle } from '../sigv4/target.js'
import type { SignatureRules } from '../sigv4/verify.js'
import {
  type AssertedUserOptions,
  type AssertedUserRules,
  checkAssertedUser,
} from './asserted-user.js'
import { checkReplayGuard, type ReplayGuard } from './replay-guard.js'

/** Whose a key is, where it is a key of AWS IAM. */
export interface SigV4Caller {
  /** `arn:aws:iam::111122223333:role/caller`, or the ARN of an assumed role's session. */
  readonly arn: string
  /** IAM's unique id, such as `AROA…:session`. Default: the access key id. */
  readonly userId?: string | undefined
}

/** What is known of an access key. */
export interface SigV4Key {
  readonly secretAccessKey: string | Secret
  /** The one session token that goes with the key. With it requests must carry it, without it they must not. */
  readonly sessionToken?: string | Secret | undefined
  /** Left out: the caller is known by its access key id alone. */
  readonly principal?: SigV4Caller | undefined
}

/** Which signed requests are accepted. */
export interface SigV4Options extends AssertedUserOptions {
  /** The region that callers sign for; any fixed name will do. */
  readonly region: string
  /** The service that callers sign for: this service, and no other. */
  readonly service: string
  /** What is known of the key with this id; `undefined` for an unknown one. Called for every request: keep it quick. */
  readonly credentials: (
    accessKeyId: string,
  ) => SigV4Key | undefined | Promise<SigV4Key | undefined>
  /** Names of this service as they stand in `Host`, with a port where there is one. Default: any that is signed. */
  readonly hosts?: readonly string[] | undefined
  /** How far the caller's clock may differ. Milliseconds, 0 to 900 000; default 300 000. */
  readonly clockSkewMs?: number | undefined
  /** The longest life of a presigned URL. Milliseconds, 1 000 to 604 800 000 (a week); default 900 000. */
  readonly maxExpiresMs?: number | undefined
  /** Accepts `UNSIGNED-PAYLOAD` and `STREAMING-UNSIGNED-PAYLOAD-TRAILER`: whoever carries the request may change the body. */
  readonly allowUnsignedPayload?: boolean | undefined
  /** Accepts a `Content-Type` that is not signed, as `aws4fetch` sends it. */
  readonly allowUnsignedContentType?: boolean | undefined
  /**
   * Headers `x-amz-*` that a proxy or a CDN adds after the caller has signed, such as `x-amz-cf-id`: accepted without a
   * signature, so decide nothing by them. None that is read here may be named.
   */
  readonly allowUnsignedHeaders?: readonly string[] | undefined
  /** `s3`: the path encoded once and not normalised. Default `normal`. */
  readonly pathStyle?: PathStyle | undefined
  /** Further headers that the application acts on: they must be signed where they are present, and stand once. */
  readonly signedHeaders?: readonly string[] | undefined
  /** Refuses a request that was seen before. Default: in memory, for one process. `null`: not looked at. */
  readonly replay?: ReplayGuard | null | undefined
  /** What an access key id looks like. Default 16 to 128 capital letters and digits. */
  readonly accessKeyIdPattern?: RegExp | undefined
  /** The largest body. Bytes; default 16 777 216. */
  readonly maxBodyBytes?: number | undefined
}

/** {@link SigV4Options}, checked and copied. */
export interface SigV4Rules extends SignatureRules {
  readonly region: string
  readonly service: string
  readonly credentials: SigV4Options['credentials']
  readonly accessKeyId: RegExp
  readonly replay: ReplayGuard | null | undefined
  readonly user: AssertedUserRules
}

const known: KnownOptions<SigV4Options> = {
  region: true,
  service: true,
  credentials: true,
  hosts: true,
  clockSkewMs: true,
  maxExpiresMs: true,
  allowUnsignedPayload: true,
  allowUnsignedContentType: true,
  allowUnsignedHeaders: true,
  pathStyle: true,
  signedHeaders: true,
  replay: true,
  userIdHeader: true,
  mayActForUser: true,
  accessKeyIdPattern: true,
  maxBodyBytes: true,
}

/** @throws `TypeError` naming the option. */
export function checkSigV4Options(options: SigV4Options): SigV4Rules {
  checkOptionNames(options, 'sigv4()', known)
  const { region, service, credentials, pathStyle = 'normal', replay, accessKeyIdPattern } = options
  checkScopePart('region', region)
  checkScopePart('service', service)
  if (typeof credentials !== 'function') {
    throw new TypeError('credentials must be a function of the access key id.')
  }
  if (pathStyle !== 'normal' && pathStyle !== 's3') {
    throw new TypeError(`pathStyle must be "normal" or "s3"; got "${printable(pathStyle)}".`)
  }
  if (replay !== undefined && replay !== null) checkReplayGuard(replay, 'replay')
  if (accessKeyIdPattern !== undefined && !(accessKeyIdPattern instanceof RegExp)) {
    throw new TypeError('accessKeyIdPattern must be a regular expression.')
  }
  const user = checkAssertedUser(options)
  const unsignedType = flag('allowUnsignedContentType', options.allowUnsignedContentType)
  const protectedHeaders = new Set([
    user.header,
    ...(unsignedType ? [] : ['content-type']),
    ...names('signedHeaders', options.signedHeaders ?? [], /^[A-Za-z0-9-]+$/),
  ])
  return {
    region,
    service,
    credentials,
    pathStyle,
    replay,
    user,
    hosts:
      options.hosts === undefined ? undefined : names('hosts', options.hosts, /^[\x21-\x7e]+$/),
    clockSkewMs: inRange('clockSkewMs', options.clockSkewMs ?? 5 * MINUTE_MS, 0, 15 * MINUTE_MS),
    maxLifetimeMs: inRange(
      'maxExpiresMs',
      options.maxExpiresMs ?? 15 * MINUTE_MS,
      1_000,
      MAX_LIFETIME_MS,
    ),
    maxBodyBytes: inRange(
      'maxBodyBytes',
      options.maxBodyBytes ?? MAX_BODY_BYTES,
      0,
      Number.MAX_SAFE_INTEGER,
    ),
    allowUnsignedPayload: flag('allowUnsignedPayload', options.allowUnsignedPayload),
    // Matched from end to end, whatever the pattern, and without the state that the flags g and y bring.
    accessKeyId: accessKeyIdPattern
      ? new RegExp(
          `^(?:${accessKeyIdPattern.source})$`,
          accessKeyIdPattern.flags.replace(/[gym]/g, ''),
        )
      : /^[A-Z0-9]{16,128}$/,
    protectedHeaders,
    unsignedHeaders: unsignedHeaders(options.allowUnsignedHeaders ?? [], protectedHeaders),
  }
}

/** One week, as AWS has it. */
const MAX_LIFETIME_MS = 604_800_000
const MAX_BODY_BYTES = 16_777_216

function checkScopePart(option: string, value: unknown): void {
  if (typeof value !== 'string' || !/^[A-Za-z0-9_.-]{1,64}$/.test(value)) {
    throw new TypeError(
      `${option} must be a name of 1 to 64 letters, digits and _ . -; got "${printable(value)}".`,
    )
  }
}

function names(option: string, value: unknown, pattern: RegExp): readonly string[] {
  if (
    !Array.isArray(value) ||
    !value.every((one) => typeof one === 'string' && pattern.test(one))
  ) {
    throw new TypeError(`${option} must be a list of names.`)
  }
  return Object.freeze(value.map((one: string) => one.toLowerCase()))
}

/** Headers that are part of a signature. */
const ofSignature =
  /^x-amz-(date|expires|security-token|content-sha256|algorithm|credential|signature|signedheaders)$/

function unsignedHeaders(value: unknown, isProtected: ReadonlySet<string>): ReadonlySet<string> {
  const unsigned = names('allowUnsignedHeaders', value, /^[A-Za-z0-9-]+$/)
  for (const name of unsigned) {
    if (!name.startsWith('x-amz-') || ofSignature.test(name) || isProtected.has(name)) {
      throw new TypeError(
        `allowUnsignedHeaders takes names that begin with x-amz-, of headers that are not read here; got "${printable(name)}".`,
      )
    }
  }
  return new Set(unsigned)
}

function flag(option: string, value: unknown): boolean {
  if (value !== undefined && typeof value !== 'boolean') {
    throw new TypeError(`${option} must be true or false; got "${printable(value)}".`)
  }
  return value ?? false
}

function inRange(option: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number' || !(value >= min && value <= max)) {
    throw new TypeError(
      `${option} must be a number from ${min} to ${max}; got "${printable(value)}".`,
    )
  }
  return value
}
