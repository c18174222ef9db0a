# Values for tests/test_drivers_*.py: Rscript drivers.R in this folder.
# lm on R's swiss; svyglm (package survey) on simulated answers in clusters and strata.
suppressMessages(library(survey))
set.seed(20240611)

fit <- summary(lm(Fertility ~ ., swiss))$coefficients[-1, ]
rownames(fit) <- sub("Infant.Mortality", "Infant_Mortality", rownames(fit))
write.csv(data.frame(driver = rownames(fit), coefficient = fit[, 1], se = fit[, 2], p_value = fit[, 4]),
          "swiss_lm.csv", row.names = FALSE, quote = FALSE)

clusters <- 60
size <- 8
cluster <- rep(seq_len(clusters), each = size)
stratum <- ceiling(cluster / 15)
common <- rnorm(clusters)[cluster] * 0.6
food <- 3.5 + common + rnorm(clusters * size)
wifi <- 3.2 + 0.5 * common + rnorm(clusters * size)
signs <- 3.0 + 0.8 * (food - 3.5) + rnorm(clusters * size)
overall <- 1 + 0.5 * food + 0.2 * wifi + rnorm(clusters)[cluster] * 0.5 + rnorm(clusters * size)
weight <- round(runif(clusters, 0.5, 2), 3)[cluster]
answers <- data.frame(stratum, cluster, weight, food, wifi, signs, overall)
answers <- round(answers, 6)
write.csv(answers, "drivers_design.csv", row.names = FALSE, quote = FALSE)

design <- svydesign(ids = ~cluster, strata = ~stratum, weights = ~weight, data = answers)
fit <- summary(svyglm(overall ~ food + wifi + signs, design))$coefficients[-1, ]
write.csv(data.frame(driver = rownames(fit), coefficient = fit[, 1], se = fit[, 2]),
          "drivers_design_svyglm.csv", row.names = FALSE, quote = FALSE)
