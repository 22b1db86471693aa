/* SPDX-License-Identifier: BSD-3-Clause */
/* Text of the tools: sizes, labels, uuids, strings from media. */
#include "tools/common/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_MAX 63u

static const char units[] = "KMGTPE";

int text_parse_u64(const char *text, uint64_t max, uint64_t *out)
{
	unsigned long long value;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno || value > max)
		return -ERANGE;
	*out = value;
	return 0;
}

int text_parse_size(const char *text, uint64_t *out_bytes)
{
	unsigned long long value;
	unsigned int shift = 0;
	const char *unit;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	unit = isalpha((unsigned char)*end) ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (unit) {
		shift = 10 * (unsigned int)(unit - units + 1);
		end++;
		if (!strcmp(end, "iB") || !strcmp(end, "B"))
			end = "";
	}
	if (*end)
		return -EINVAL;
	if (value > UINT64_MAX >> shift)
		return -ERANGE;
	*out_bytes = value << shift;
	return 0;
}

const char *text_size(uint64_t bytes, char buf[TEXT_SIZE_LEN])
{
	unsigned int u = 0;
	uint64_t whole = bytes, rest = 0;

	if (bytes < 1024) {
		snprintf(buf, TEXT_SIZE_LEN, "%llu bytes", (unsigned long long)bytes);
		return buf;
	}
	while (whole >= 1024 && u < sizeof(units) - 1) {
		rest = whole % 1024;
		whole /= 1024;
		u++;
	}
	snprintf(buf, TEXT_SIZE_LEN, "%llu.%llu %ciB", (unsigned long long)whole, (unsigned long long)(rest * 10 / 1024),
		 units[u - 1]);
	return buf;
}

const char *text_uuid(const uint8_t uuid[16], char buf[TEXT_UUID_LEN])
{
	char *out = buf;

	for (int i = 0; i < 16; i++)
		out += sprintf(out, "%02x%s", uuid[i], i == 3 || i == 5 || i == 7 || i == 9 ? "-" : "");
	return buf;
}

/* Length of the character that str begins with, 0 if it is no UTF-8 (overlong forms and surrogates are none). */
static size_t utf8_next(const uint8_t *str, size_t len, uint32_t *out_code)
{
	static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t code = str[0];
	size_t n;

	if (code < 0x80) {
		*out_code = code;
		return 1;
	}
	n = code >= 0xf0 ? 4 : code >= 0xe0 ? 3 : 2;
	if (code < 0xc2 || code > 0xf4 || n > len)
		return 0;
	code &= 0x7fu >> n;
	for (size_t i = 1; i < n; i++) {
		if ((str[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (str[i] & 0x3f);
	}
	if (code < lowest[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	*out_code = code;
	return n;
}

static int is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

const char *text_label_check(const char *label)
{
	size_t len = strlen(label), n;
	uint32_t code;

	if (len > LABEL_MAX)
		return "a label has at most 63 bytes";
	for (size_t i = 0; i < len; i += n) {
		n = utf8_next((const uint8_t *)label + i, len - i, &code);
		if (!n)
			return "a label must be valid UTF-8";
		if (is_control(code))
			return "a label must not contain control characters";
	}
	return NULL;
}

void text_print(FILE *f, const char *str, size_t len)
{
	const uint8_t *s = (const uint8_t *)str;
	uint32_t code;

	for (size_t i = 0; i < len;) {
		size_t n = utf8_next(s + i, len - i, &code);

		if (n && !is_control(code) && code != '\\')
			fwrite(s + i, 1, n, f);
		else
			for (size_t k = 0; k < (n ? n : 1); k++)
				fprintf(f, "\\x%02x", s[i + k]);
		i += n ? n : 1;
	}
}

void text_print_json(FILE *f, const char *str, size_t len)
{
	const uint8_t *s = (const uint8_t *)str;
	uint32_t code;

	fputc('"', f);
	for (size_t i = 0; i < len;) {
		size_t n = utf8_next(s + i, len - i, &code);

		if (!n)
			fputs("\\ufffd", f);
		else if (is_control(code))
			fprintf(f, "\\u%04x", code);
		else if (code == '"' || code == '\\')
			fprintf(f, "\\%c", (int)code);
		else
			fwrite(s + i, 1, n, f);
		i += n ? n : 1;
	}
	fputc('"', f);
}
