/** Where a private key is kept. The key itself never appears in an option, so options may be logged and compared (rule 8). */
export type KeyReference =
  | { readonly source: 'env'; readonly name: string }
  | { readonly source: 'file'; readonly path: string }
