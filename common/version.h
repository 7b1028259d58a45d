/* What --version prints and agents tell the collector. */
#pragma once

#define NIGHTJAR_VERSION "0.1.0"
