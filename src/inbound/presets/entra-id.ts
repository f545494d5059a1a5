import { checkOptionNames } from '../../option-names.js'
import type { JwtBearerOptions } from '../jwt-bearer-options.js'
import { type Claims, knownToPresets, matching, type PresetOptions } from './preset-options.js'

/** What {@link entraIdTokens} takes. */
export interface EntraIdOptions extends PresetOptions {
  /**
   * The tenant, by its GUID. For several, make one `jwtBearer` a tenant: that list is the allow-list, and no tenant's
   * keys serve for another's tokens.
   */
  readonly tenantId: string
}

/**
 * Access tokens of one Microsoft Entra tenant, of version 1 (`https://sts.windows.net/…/`) and 2. The tenant (`tid`) and
 * the version (`ver`) must be those of the issuer. The client is in `azp` or `appid`. Scopes are those of `scp`, which
 * the user delegated; a token of an application has none, and then its app roles (`roles`) stand for them.
 *
 * @throws `TypeError` `tenantId` is no GUID.
 * @see {@link https://learn.microsoft.com/en-us/entra/identity-platform/access-token-claims-reference}
 */
export function entraIdTokens(options: EntraIdOptions): JwtBearerOptions {
  checkOptionNames(options, 'entraIdTokens()', { ...knownToPresets, tenantId: true })
  const { tenantId, ...rest } = options
  const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
  matching('tenantId', tenantId, guid, 'the GUID of a tenant, in lower case')
  const authority = `https://login.microsoftonline.com/${tenantId}`
  const version2 = `${authority}/v2.0`
  return {
    ...rest,
    issuer: [version2, `https://sts.windows.net/${tenantId}/`],
    jwksUri: `${authority}/discovery/v2.0/keys`,
    profile: {
      clientClaims: ['azp', 'appid'],
      scopeClaims: ['scp', 'roles'],
      refuse: (claims) => {
        if (claims.tid !== tenantId) return 'tid is another tenant'
        const version = claims.iss === version2 ? '2.0' : '1.0'
        if (claims.ver !== version) return 'ver is another than that of the issuer'
        const client = version === '2.0' ? claims.azp : claims.appid
        return typeof client === 'string' ? undefined : 'an ID token names no client'
      },
      isClient: isApplication,
    },
  }
}

/** `idtyp` is optional in version 1; but what a user delegated always has `scp`, and an application never. */
function isApplication({ idtyp, scp }: Claims): boolean {
  return idtyp === 'app' || scp === undefined
}
