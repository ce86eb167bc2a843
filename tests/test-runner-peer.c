/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* What a setting says of a daemon's address. */

#include "lib.h"
#include "antispam-runner.h"
#include "test-common.h"

static void test_peers(void)
{
	static const struct {
		const char *value, *path, *host;
		unsigned int port;
		const char *error;
	} tests[] = {
		{ "/run/spamd.sock", "/run/spamd.sock", NULL, 0, NULL },
		{ "/run/a:1", "/run/a:1", NULL, 0, NULL },
		{ "localhost:783", NULL, "localhost", 783, NULL },
		{ "127.0.0.1:1", NULL, "127.0.0.1", 1, NULL },
		{ "spamd.example.org:65535", NULL, "spamd.example.org", 65535,
		  NULL },
		{ "[::1]:783", NULL, "::1", 783, NULL },
		{ "[fe80::1%eth0]:783", NULL, "fe80::1%eth0", 783, NULL },
		{ "::1:783", NULL, NULL, 0, "stands in brackets" },
		{ "localhost", NULL, NULL, 0, "it has no port" },
		{ "", NULL, NULL, 0, "it has no port" },
		{ ":783", NULL, NULL, 0, "this is no host" },
		{ "[]:783", NULL, NULL, 0, "this is no host" },
		{ "a b:783", NULL, NULL, 0, "this is no host" },
		{ "a\nb:783", NULL, NULL, 0, "this is no host" },
		{ "user@host:783", NULL, NULL, 0, "this is no host" },
		{ "localhost:0", NULL, NULL, 0, "this is no port" },
		{ "localhost:65536", NULL, NULL, 0, "this is no port" },
		{ "localhost:", NULL, NULL, 0, "this is no port" },
		{ "localhost:spamd", NULL, NULL, 0, "this is no port" },
		{ "localhost:-1", NULL, NULL, 0, "this is no port" },
	};
	struct antispam_peer peer;
	const char *error;
	unsigned int i;
	int ret;

	test_begin("where a daemon is");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		error = NULL;
		ret = antispam_peer_parse(pool_datastack_create(),
					  tests[i].value, &peer, &error);
		if (tests[i].error != NULL) {
			test_assert_idx(ret == -1 && error != NULL &&
						strstr(error, tests[i].error) !=
							NULL,
					i);
			continue;
		}
		test_assert_idx(ret == 0 && error == NULL, i);
		test_assert_strcmp_idx(peer.name, tests[i].value, i);
		test_assert_strcmp_idx(peer.path, tests[i].path, i);
		test_assert_strcmp_idx(peer.host, tests[i].host, i);
		test_assert_idx(peer.port == tests[i].port, i);
	}
	test_assert(antispam_peer_parse(
			    pool_datastack_create(),
			    t_strconcat("/", t_strdup_printf("%0120d", 0), NULL),
			    &peer, &error) == -1);
	test_assert(strstr(error, "too long") != NULL);
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_peers,
		NULL
	};

	return test_run(tests);
}
