import { z } from "zod";

/** A person's own words for a thing: what every database can store. */
export const Label = z.string().refine((text) => !text.includes("\0"), "a text without NUL");
