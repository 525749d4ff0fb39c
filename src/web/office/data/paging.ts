// Walking a list of which the server gives one piece and the way to the next: the way back is remembered here.

/** Where in a list one is. */
export class Walk {
  /** How each piece up to this one was asked for; the first without anything. */
  readonly #asked: readonly (string | undefined)[];

  private constructor(asked: readonly (string | undefined)[]) {
    this.#asked = asked;
  }

  static readonly start = new Walk([undefined]);

  /** To be sent as `after`. */
  get after(): string | undefined {
    return this.#asked.at(-1);
  }

  /** Counted from 1. */
  get number(): number {
    return this.#asked.length;
  }

  get isFirst(): boolean {
    return this.number === 1;
  }

  onwards(next: string): Walk {
    return new Walk([...this.#asked, next]);
  }

  back(): Walk {
    return this.isFirst ? this : new Walk(this.#asked.slice(0, -1));
  }
}
