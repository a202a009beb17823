/** Keys that are no secrets: what LiteLLM's examples write where a server takes no key, or yours is still to come. */

const WORDS =
  /^(?:none|null|nil|empty|unused|dummy|fake|test|any|anything|na|n\/a|token|key|secret|bearer|placeholder|change-?me|local|ollama|lm-?studio|vllm|x{1,40}|0{1,40}|1234\d{0,6}|no-?(?:key|auth|api-?key)(?:-?(?:needed|required))?|not-?(?:needed|required|used|set)|(?:api-?)?key)$/

const SHAPES = [
  // sk-1234, sk-123, sk-xxxx, sk-test, sk-...
  /^sk-(?:123\d{0,7}|x{1,40}|test|fake|dummy|none|empty|placeholder|your-?key|my-?key|\.{2,}|…)$/,
  // <my-openai-key>, <your-api-key>
  /^<[^<>]{1,60}>$/,
  // your-api-key-1, my-fake-key, fake-key, dummy-key
  /^(?:your|my|fake|dummy|test|some|example)(?:-[a-z]+){0,4}-(?:key|token|secret)(?:-\d{1,3})?$/,
  // sk-my-special-key
  /^sk-my-special-key$/,
]

/**
 * Whether a text is a well-known stand-in for a key, and so may be written in plain text. Everything else that is
 * not a reference is taken for a real key.
 */
export function isPlaceholder(text: string): boolean {
  const plain = text.trim().toLowerCase().replaceAll(/[_ ]/g, '-')
  return WORDS.test(plain) || SHAPES.some((shape) => shape.test(plain))
}
