"""Pure rules of mail and hiring: values in, values out, no I/O."""
