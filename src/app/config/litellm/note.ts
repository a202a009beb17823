/** What became of the parts of a LiteLLM file that work differently here. */

/** One note for the user, printed on its own line. */
export interface LitellmNote {
  readonly kind:
    | 'limit_dropped'
    | 'limit_kept'
    | 'entry_skipped'
    | 'fallback_dropped'
    | 'placeholder'
    | 'no_key'
  /** Its path in the file, e.g. `model_list[0].litellm_params.rpm`. */
  readonly path: string
  /** What is done with it, and what to write instead; holds no secret. */
  readonly message: string
}

/** `model_list[0].litellm_params.rpm: this limit (60) is not applied. …` */
export function formatNote({ path, message }: LitellmNote): string {
  return `${path}: ${message}`
}
