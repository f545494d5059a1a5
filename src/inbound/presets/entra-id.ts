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
  /**
   * Where the tenant signs its users in: `https://login.microsoftonline.com` (the default),
   * `https://login.microsoftonline.us`, `https://login.partner.microsoftonline.cn`, or `https://<name>.ciamlogin.com` for a
   * tenant of Microsoft Entra External ID.
   */
  readonly authority?: string | undefined
}

/** The clouds, and who issues tokens of version 1 there. */
const version1Hosts: ReadonlyMap<string, string> = new Map([
  ['https://login.microsoftonline.com', 'sts.windows.net'],
  ['https://login.microsoftonline.us', 'sts.windows.net'],
  ['https://login.partner.microsoftonline.cn', 'sts.chinacloudapi.cn'],
])

/**
 * Access tokens of one Microsoft Entra tenant, of version 1 (`https://sts.windows.net/…/`) and 2. The tenant (`tid`) and
 * the version (`ver`) must be those of the issuer. The client is in `azp` or `appid`. Scopes are those of `scp`, which
 * the user delegated; a token of an application has none, and then its app roles (`roles`) stand for them.
 *
 * @throws `TypeError` `tenantId` is no GUID.
 * @see {@link https://learn.microsoft.com/en-us/entra/identity-platform/access-token-claims-reference}
 */
export function entraIdTokens(options: EntraIdOptions): JwtBearerOptions {
  checkOptionNames(options, 'entraIdTokens()', {
    ...knownToPresets,
    tenantId: true,
    authority: true,
  })
  const { tenantId, authority = 'https://login.microsoftonline.com', ...rest } = options
  const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
  matching('tenantId', tenantId, guid, 'the GUID of a tenant, in lower case')
  const version1 = version1Hosts.get(authority)
  if (version1 === undefined) {
    const form = `${[...version1Hosts.keys()].join(', ')}, or https://<name>.ciamlogin.com`
    matching('authority', authority, /^https:\/\/[a-z0-9-]+\.ciamlogin\.com$/, form)
  }
  // External ID has tokens of version 2 alone, and names the tenant by its GUID whatever its address is.
  const host = version1 === undefined ? `https://${tenantId}.ciamlogin.com` : authority
  const version2 = `${host}/${tenantId}/v2.0`
  return {
    ...rest,
    issuer: version1 === undefined ? version2 : [version2, `https://${version1}/${tenantId}/`],
    jwksUri: `${authority}/${tenantId}/discovery/v2.0/keys`,
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
