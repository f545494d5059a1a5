/** What is used of AWS KMS: the methods of `new KMS(…)` of `@aws-sdk/client-kms`, or your own. */
export interface KmsClient {
  generateDataKey(
    input: {
      readonly KeyId: string
      readonly NumberOfBytes: number
      readonly EncryptionContext: Record<string, string>
    },
    options: { readonly abortSignal: AbortSignal },
  ): Promise<KmsAnswer & { readonly CiphertextBlob?: Uint8Array | undefined }>
  decrypt(
    input: {
      readonly KeyId: string
      readonly CiphertextBlob: Uint8Array
      readonly EncryptionContext: Record<string, string>
    },
    options: { readonly abortSignal: AbortSignal },
  ): Promise<KmsAnswer>
}

interface KmsAnswer {
  readonly Plaintext?: Uint8Array | undefined
  /** The ARN of the key that was used. */
  readonly KeyId?: string | undefined
}
