# Values for tests/test_contrast.py: cluster-robust variance of a difference, scaled by
# Bell and McCaffrey. R 4.2, package sandwich (its HC2 for clusters). Run in this folder:
#   Rscript contrast.R > contrast.json
suppressPackageStartupMessages(library(sandwich))

entry <- function(name, d) {
  fit <- lm(y ~ side, data = d)
  v <- vcovCL(fit, cluster = d$cluster, type = "HC2")
  sprintf('  "%s": {"estimate": %.10f, "se": %.10f}', name, -coef(fit)[["side"]], sqrt(v[2, 2]))
}
few <- read.csv("../cases/few_clusters.csv")
net <- ifelse(few$s >= 9, 100, ifelse(few$s <= 6, -100, 0))
small <- data.frame(
  y = c(100, 0, 100, 100, -100, 0, 0, 0, 100, -100, 0, 100, -100, -100),
  side = rep(0:1, c(6, 8)), cluster = rep(1:7, each = 2))
entries <- c(
  entry("three of thirty", data.frame(y = net, side = as.numeric(few$h == "B"), cluster = few$c)),
  entry("small", small))
cat("{\n", paste(entries, collapse = ",\n"), "\n}\n", sep = "")
