declare module 'aws4' {
  interface Aws4Request {
    method: string
    host: string
    path?: string
    service: string
    region: string
    signQuery?: boolean
    headers: Record<string, string>
    body?: Uint8Array | string
    extraHeadersToIgnore?: Record<string, true>
  }
  interface Aws4Credentials {
    accessKeyId: string
    secretAccessKey: string
    sessionToken?: string
  }
  const aws4: { sign(request: Aws4Request, credentials: Aws4Credentials): Aws4Request }
  export default aws4
}
