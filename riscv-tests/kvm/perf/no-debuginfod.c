// In place of libdebuginfod, which perf links to in order to fetch debug information over a network that the machine does not have; the
// real one would bring a TLS library with all that this needs.
#include <errno.h>
#include <stddef.h>

void *debuginfod_begin(void)
{
	return NULL;
}

void debuginfod_end(void *client)
{
	(void)client;
}

int debuginfod_find_debuginfo(void *client, const unsigned char *id, int bytes, char **path)
{
	(void)client, (void)id, (void)bytes, (void)path;
	return -ENOSYS;
}

int debuginfod_find_source(void *client, const unsigned char *id, int bytes, const char *file, char **path)
{
	(void)client, (void)id, (void)bytes, (void)file, (void)path;
	return -ENOSYS;
}
