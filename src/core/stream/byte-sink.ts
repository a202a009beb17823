/** Collects many small pieces of bytes in one buffer: a separate object for each would cost far more than its bytes. */
export class ByteSink {
  #buffer: Buffer
  #length = 0

  /** @param sizeHint how many bytes are expected */
  constructor(sizeHint: number) {
    this.#buffer = Buffer.allocUnsafe(Math.max(sizeHint, 64))
  }

  get length(): number {
    return this.#length
  }

  add(bytes: Buffer): void {
    const end = this.#length + bytes.length
    if (end > this.#buffer.length) this.#grow(end)
    if (bytes.length === 1) this.#buffer[this.#length] = bytes[0] ?? 0
    else bytes.copy(this.#buffer, this.#length)
    this.#length = end
  }

  /** Discards everything. */
  clear(): void {
    this.#length = 0
  }

  /** Everything added. Nothing may be added afterwards. */
  take(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  #grow(needed: number): void {
    const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#buffer.length))
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
  }
}
